"""What tasks of edited projects are called with, where 3 will not do."""

from __future__ import annotations

ARGUMENTS = {
    "star": "()",
    "positional only": "(3, 4)",
    "argument name": "(3, 4)",
    "assert": "(3,)",
    "comprehension filter": "([0, 1, 2],)",
    "match class": "(A(),)",
    "try star order": "([0, 1],)",
    "regex": "('c',)",  # no match, which could not be pickled
    "regex flags": "('c',)",
    "path": "('x',)",
    "mapping proxy": "('a',)",
    "built-in that is shadowed": "([],)",
    "helper in a comprehension": "([1, 2],)",
    "validate_call": "(b'1',)",
    "enum missing": "(1,)",
    "stub overloads in a protocol that is only an annotation": "(type(sys.implementation)(f=int),)",
    "keys of a dispatch table": "('f',)",
    "itemgetter": "([1, 2, 3],)",
    "methodcaller": "('aB',)",
    "super": "()",
    "type alias in use": "({'a': 1},)",
    "method of a built-in": "('aB',)",
    "mutation at import time": "(1,)",
    "helper that is a generator": "(4,)",  # an odd number never ends, once edited
    "regular expression with a function": "('aab',)",
    "sorted by a key function": "([{'a': 2, 'b': 1}, {'a': 1, 'b': 2}],)",
    "pandas pipe": "({'a': [1, 2]},)",
    "pydantic alias": "({'K': 2},)",
    "pydantic discriminated by literal": "({'kind': 'a'},)",
    "an instance that is asked by name": "('rate',)",
}
"""Arguments by the names of edits: text that is evaluated among the names of the project's module."""

LEFT_OUT = {
    "generator": "Prefect saves no results of generators",
    "generator that a function made, in a global": "its value is a generator, which cannot be pickled",
    "dispatch table": "no argument is a key of it and can be added to",
    "helper in a lambda": "its value, an iterator, cannot be pickled",
    "helper as an argument": "its value is an iterator, which comes from the cache as another",
    "object as a default": "a default is an input, and this one has no content",
    "exception class": "it fails, and failures are not cached",
    "set of functions": "its value follows the order of a set, which no two processes share",
    "docstring in an older schema of pydantic": "pydantic warns, and a warning is an error here",
    "docstring in an older schema of pydantic, as JSON": "as above",
    "ignored name": "it is stale, as its user wants it",
    "ignored name of a module": "it is stale, as its user wants it",
    "ignored method's class": "it is stale, as its user wants it",
    "ignored attribute": "it is stale, as its user wants it",
}
"""Why some edits of the tables are not run end to end."""
