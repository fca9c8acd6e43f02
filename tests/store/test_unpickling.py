"""Whatever the code in a pickle does, it ends in one error, and in no end of the process."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from s3kv_flows._results.codec import RESULT_CODEC
from s3kv_flows.store._values.codecs import CloudpickleCodec
from s3kv_flows.store._values.frames.frames import pack
from s3kv_flows.store.errors import CorruptValueError

CODECS = {"values": CloudpickleCodec(), "results": RESULT_CODEC}


class Unshown(BaseException):
    """An exception whose text is code of the pickle, too."""

    def __str__(self) -> str:
        raise SystemExit(3)


class Stopped(BaseException):
    """An exception of a program that is no Exception, as Prefect's TerminationSignal."""


def throw(error: type[BaseException]) -> NoReturn:
    raise error("from a pickle")


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.reduced = (function, args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def body_of(value: Any) -> bytearray:
    return bytearray(bytes(pack("cloudpickle", [pickle.dumps(value, protocol=5)])))


PICKLES: dict[str, bytearray] = {
    "an exit in a pickle does not end the process": body_of(Calls(sys.exit, 3)),
    "an exit of site does not end the process": body_of(Calls(throw, SystemExit)),
    "a pickle ends no generator": body_of(Calls(throw, GeneratorExit)),
    "a pickle cancels no task": body_of(Calls(throw, asyncio.CancelledError)),
    "an exception of a program is a damaged value": body_of(Calls(throw, Stopped)),
    "an exception that cannot be shown is a damaged value": body_of(Calls(throw, Unshown)),
    "a pickle that asks for 1 EB is a damaged value": body_of(Calls(bytearray, 10**18)),
    "a pickle that declares 1 EB is a damaged value": bytearray(
        bytes(pack("cloudpickle", [b"\x80\x05\x8e" + (10**18).to_bytes(8, "little") + b"x."]))
    ),
    "a pickle without an end is a damaged value": bytearray(bytes(pack("cloudpickle", [b"\x80\x05"]))),
    "a pickle of nothing is a damaged value": bytearray(bytes(pack("cloudpickle", [b""]))),
    "a class that is gone is a damaged value": bytearray(
        bytes(pack("cloudpickle", [b"cnowhere\nNothing\n."]))
    ),
    "a buffer that is not there is a damaged value": bytearray(
        bytes(pack("cloudpickle", [b"\x80\x05\x97."]))
    ),
    "a pickle that goes too deep is a damaged value": body_of(
        Calls(eval, "(lambda f: f(f))(lambda f: f(f))")
    ),
}


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("body", PICKLES.values(), ids=PICKLES)
def test_whatever_a_pickle_does(body: bytearray, codec: CloudpickleCodec) -> None:
    with pytest.raises(CorruptValueError, match="cannot be unpickled here") as caught:
        codec.decode(body)
    assert caught.value.reason == "unpickle"


def test_a_user_who_presses_control_c_is_obeyed() -> None:
    with pytest.raises(KeyboardInterrupt):
        CloudpickleCodec().decode(body_of(Calls(throw, KeyboardInterrupt)))


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows cannot send itself a signal")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGALRM"])
def test_a_run_that_is_told_to_end_while_it_unpickles_ends(number: str) -> None:
    def end(*_: object) -> NoReturn:
        raise Stopped

    before = signal.signal(getattr(signal, number), end)
    try:
        with pytest.raises(Stopped):
            CloudpickleCodec().decode(body_of(Calls(os.kill, os.getpid(), int(getattr(signal, number)))))
    finally:
        signal.signal(getattr(signal, number), before)
