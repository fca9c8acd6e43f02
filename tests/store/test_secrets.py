"""No secret is in a line of a log, a message, a repr, or what is written to S3."""

from __future__ import annotations

import base64
import logging
import pickle
import socket
import threading
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import cloudpickle
import pytest
from prefect import flow
from pydantic import SecretStr

from s3kv_flows import S3KVStore
from s3kv_flows.store import S3KV, Encryption, SigningKey
from s3kv_flows.store._layout.secrets import hidden
from s3kv_flows.store._s3.clients import new_client
from s3kv_flows.store._s3.config import S3Config
from s3kv_flows.store.errors import EncodingError, S3KVError

ACCESS_KEY = "AKIDEXAMPLE"
SECRETS = {
    "secret access key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzzzz",
    "session token": "IQoJb3JpZ2luX2VjEXAMPLE/token+with==",
    "customer key": "0123456789abcdef-customer-key-!!",
    "proxy password": "pr0xy-pa55word",
}
SIGNING_KEY = SigningKey.generate("ours").reveal()


def spellings(secret: str) -> set[str]:
    """Return the forms in which a secret could be read."""
    raw = secret.encode()
    credentials = base64.b64encode(f"user:{secret}".encode()).decode()
    # What stands before a text shifts its base64: the middle is the same.
    forms = {secret, base64.b64encode(raw).decode(), credentials, raw.hex(), raw.hex(" ")}
    return forms | {urllib.parse.quote(one, safe="") for one in forms}


def shown(text: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if any(form in text for form in spellings(secret))]


REFUSAL = """<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message><Token-0>{token}</Token-0>
<CanonicalRequest>GET\n/\n\nx-amz-security-token:{token}\n</CanonicalRequest>
<CanonicalRequestBytes>{bytes}</CanonicalRequestBytes></Error>"""


class Stub(BaseHTTPRequestHandler):
    """Serves one object, an empty listing, and for names with ``refused`` an error that quotes the token."""

    protocol_version = "HTTP/1.1"

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "ETag": '"e"',
            "Last-Modified": "Mon, 23 Nov 2026 08:00:00 GMT",
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _any(self) -> None:
        if "refused" in self.path:
            code = "InvalidToken" if "token" in self.path else "SignatureDoesNotMatch"
            token = self.headers["X-Amz-Security-Token"]
            quoted = REFUSAL.format(code=code, token=token, bytes=token.encode().hex(" "))
            self._answer(400 if code == "InvalidToken" else 403, quoted.encode())
        elif self.command == "GET" and "list-type" in self.path:
            self._answer(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        else:
            self._answer(200, b"1" if self.command == "GET" else b"")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _any  # noqa: N815  # of the standard library

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Collect what any logger says at DEBUG, as a file of a log would have it."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    collector, root = Collector(logging.DEBUG), logging.getLogger()
    others = [logging.getLogger(name) for name in ("prefect", "botocore", "urllib3", "boto3", "s3kv_flows")]
    levels = [(logger, logger.level) for logger in (root, *others)]
    for logger, _ in levels:
        logger.setLevel(logging.DEBUG)
    for logger in (root, others[0]):  # Prefect's do not propagate
        logger.addHandler(collector)
    try:
        yield lines
    finally:
        for logger, level in levels:
            logger.removeHandler(collector)
            logger.setLevel(level)


def config(url: str, **options: Any) -> S3Config:
    return S3Config(
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRETS["secret access key"],
        aws_session_token=options.pop("token", SECRETS["session token"]),
        encryption=Encryption.customer(SECRETS["customer key"].encode()),
        boto_config={"retries": {"total_max_attempts": 1}, **options.pop("boto_config", {})},
        operation_timeout_seconds=5,
        **options,
    )


def work(kv: S3KV) -> list[str]:
    """Use a store in every way; return the messages of its errors, with their tracebacks."""
    actions: list[Callable[[], object]] = [
        lambda: kv.add("key", 1),
        lambda: kv.get("key"),
        lambda: kv.get("key"),  # on a kept connection
        lambda: kv.info("key"),
        kv.list_keys,
        lambda: kv.copy_key("key", "other"),
        lambda: kv.get("refused"),
        lambda: kv.get("refused-token"),
        lambda: kv.add("refused", 1),
        lambda: kv.add("refused-token", 1),
        lambda: kv.delete("key"),
    ]
    return [told for told in map(error_of, actions) if told]


def error_of(action: Callable[[], object]) -> str:
    try:
        action()
    except S3KVError as exc:
        return f"{exc!r}\n" + "".join(traceback.format_exception(exc))
    return ""


def refusing_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def http_proxy() -> Iterator[int]:
    """Serve a proxy that refuses everything, in words that quote the request."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(asked), asked)
                )

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


WAYS = [
    "direct",
    "full client",
    "refused connection",
    "proxy",
    "no proxy",
    "TLS through a proxy",
    "line break",
]


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_is_logged_or_said(
    serving: Callable[[type[BaseHTTPRequestHandler]], str], http_proxy: int, way: str
) -> None:
    url, options = serving(Stub), dict[str, Any]()
    proxy = f"http://user:{SECRETS['proxy password']}@127.0.0.1:{http_proxy}"
    match way:
        case "full client":
            options = {"direct_reads": False}
        case "refused connection":
            url = f"http://127.0.0.1:{refusing_port()}"
        case "proxy":
            options = {"boto_config": {"proxies": {"http": proxy}}}
        case "no proxy":
            options = {
                "boto_config": {"proxies": {"http": proxy.replace(str(http_proxy), str(refusing_port()))}}
            }
        case "TLS through a proxy":
            url = url.replace("http", "https")
            options = {"boto_config": {"proxies": {"https": proxy}}}
        case "line break":  # as of a file that was read into a variable
            options = {"token": f"{SECRETS['session token']}\n"}
    with everything_logged() as lines:
        kv = S3KV(bucket_name="some-bucket", config=config(url, **options), enable_local_cache=False)
        errors = work(kv)
    assert errors, "something failed"
    assert len(lines) > 100, "botocore has spoken"
    for text in (*lines, *errors, repr(kv), repr(kv.config), repr(kv.client), str(kv.config.encryption)):
        assert shown(text) == [], text
    if way in ("direct", "full client"):
        assert any("**********" in line for line in lines), "there was something to hide"


def test_each_client_hides_what_all_of_them_log(
    serving: Callable[[type[BaseHTTPRequestHandler]], str],
) -> None:
    new_client(config(serving(Stub)))
    count = len(logging.getLogger("botocore.endpoint").filters)
    new_client(config(serving(Stub)))
    assert len(logging.getLogger("botocore.endpoint").filters) == count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'X-Amz-Security-Token': 'T/+=', 'a': 1}", "{'X-Amz-Security-Token': **********, 'a': 1}"),
        ("x-amz-security-token:T/+=\nhost:x", "x-amz-security-token:**********\nhost:x"),
        ("host;x-amz-security-token;x-amz-date", "host;x-amz-security-token;x-amz-date"),
        ("'SSECustomerKey': b\"a'b\", 'c'", "'SSECustomerKey': **********, 'c'"),
        ("'SSECustomerKeyMD5': 'm'", "'SSECustomerKeyMD5': 'm'"),
        ("http://u:p@h:1/x?a@b", "http://**********@h:1/x?a@b"),
        ("http://h:1/a@b", "http://h:1/a@b"),
        ("key=s3kv-sk1:lake:A_b-9, s3kv-pk1:lake:Z", "key=s3kv-sk1:lake:**********, s3kv-pk1:lake:Z"),
        ("<Token-0>T</Token-0>", "Token-0 **********"),
        ("Invalid header value b'T\\n'", "Invalid header value **********"),
    ],
)
def test_what_is_hidden(text: str, expected: str) -> None:
    assert hidden(text) == expected


# --- endpoints ----------------------------------------------------------------------------------------

PASSWORD = SECRETS["proxy password"]
URLS = [f"http://user:{PASSWORD}@127.0.0.1:1", f"https://{PASSWORD}@s3.example.com", f"ftp://u:{PASSWORD}@h"]


@pytest.mark.parametrize("url", [*URLS, f"http://u:{PASSWORD}@[::1", f"http://u:{PASSWORD}@h:99999"])
def test_an_endpoint_with_a_password_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    makers: list[Callable[[], object]] = [
        lambda: S3Config(endpoint_url=url),
        lambda: S3KV(url, "some-bucket"),
        lambda: S3KVStore(bucket_name="some-bucket", endpoint_url=url),
    ]
    for make in makers:
        with pytest.raises(ValueError, match="endpoint_url") as caught:
            make()
        assert shown("".join(traceback.format_exception(caught.value))) == []


@pytest.mark.parametrize("url", URLS[:2])
def test_so_is_one_of_the_environment(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(ValueError, match="has a user or a password in it") as caught:
        new_client(S3Config(region_name="us-east-1"))
    assert shown("".join(traceback.format_exception(caught.value))) == []


# --- pickles ------------------------------------------------------------------------------------------


def block(**options: Any) -> S3KVStore:
    return S3KVStore(bucket_name="some-bucket", endpoint_url="http://127.0.0.1:1", **options)


HOLDERS: dict[str, Callable[[], object]] = {
    "config": lambda: config("http://127.0.0.1:1"),
    "store": lambda: S3KV(bucket_name="some-bucket", config=config("http://127.0.0.1:1")),
    "seals": lambda: S3KV(bucket_name="some-bucket", signing_key=SIGNING_KEY).seals,
    "encryption": lambda: Encryption.customer(SECRETS["customer key"].encode()),
    "block": lambda: block(
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SecretStr(SECRETS["secret access key"])
    ),
    "signing key": lambda: block(signing_key=SecretStr(SIGNING_KEY)),
    "proxy": lambda: block(boto_config={"proxies": {"http": f"http://u:{PASSWORD}@h"}}),
}


@pytest.mark.parametrize("make", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.parametrize("codec", ["cloudpickle"])
def test_what_holds_credentials_is_not_written(
    make_store: Callable[..., S3KV], make: Any, codec: str
) -> None:
    store, holder = make_store(codec=codec), make()
    for value in (holder, {"deep": [holder]}, lambda: holder):
        with pytest.raises(EncodingError, match="holds credentials, which would be readable in the bucket"):
            store.add("key", value)
    assert store.list_keys() == []
    assert pickle.loads(cloudpickle.dumps(holder)) == holder or make is HOLDERS["store"], "to other processes"


def test_what_holds_none_is_written(make_store: Callable[..., S3KV]) -> None:
    store = make_store(codec="cloudpickle")
    for value in (S3Config(endpoint_url="http://127.0.0.1:1"), block(), Encryption.s3()):
        store.add("key", value)
        assert store.get("key") == value


def test_no_secret_is_among_the_parameters_that_prefect_keeps() -> None:
    @flow
    def some(given: Any) -> None: ...

    given = {what.replace(" ", "_"): make() for what, make in HOLDERS.items()}
    signed = S3KV(bucket_name="some-bucket", signing_key=SIGNING_KEY)
    kept = str(some.serialize_parameters(given | {"signed": signed, "nested": [signed]}))
    seed = SIGNING_KEY.rpartition(":")[2]
    assert (shown(kept), seed in kept) == ([], False)
    assert "<S3KV>" in kept


def test_a_signing_key_is_in_no_text_of_its_store(
    make_store: Callable[..., S3KV], caplog: pytest.LogCaptureFixture
) -> None:
    seed = SIGNING_KEY.rpartition(":")[2]
    caplog.set_level(logging.DEBUG)
    store = make_store(codec="cloudpickle", signing_key=SIGNING_KEY)
    store.add("key", 1)
    assert store.get("key") == 1
    stranger = make_store(
        codec="cloudpickle", signing_key=SigningKey.generate("other").reveal(), bucket_name=store.bucket_name
    )
    with pytest.raises(S3KVError) as refused:
        stranger.get("key")
    texts = [caplog.text, "".join(traceback.format_exception(refused.value))]
    policy = store.seals.policy()
    signed = block(signing_key=SecretStr(SIGNING_KEY))
    for one in (store, store.seals, policy, store.objects, store.seals_of_objects, signed, vars(signed)):
        texts += [repr(one), str(one)]
    texts += [signed.model_dump_json(), str(signed.model_dump())]
    assert [text for text in texts if seed in text] == []
