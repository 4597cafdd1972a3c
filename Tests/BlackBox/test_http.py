"""The HTTP side: problem documents, limits, pages, health, metrics, the published description."""

import gzip
import json
import re
import socket
import threading
import urllib.parse

import pytest

from harness.raw import Raw, http_exchange
from harness.rest import is_problem, ok


# MARK: errors

@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/", "/v1/conversations/x/y/z", "/v1/me/x/y"])
def test_what_is_not_there_is_a_problem_document(box, path):
    assert box.admin.rest.get(path).status_code == 404
    is_problem(box.admin.rest.get(path), 404, "not_found")


@pytest.mark.parametrize("method, path", [("DELETE", "/v1/login"), ("PUT", "/v1/me"), ("POST", "/healthz"), ("PATCH", "/v1/sync"), ("GET", "/v1/login")])
def test_a_wrong_method_is_405_and_names_the_right_ones(box, method, path):
    answer = box.admin.rest.request(method, path)
    assert answer.status_code == 405, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.headers["Allow"]


@pytest.mark.parametrize("body, status", [
    (b"", (400, 422)), (b"not json", (400,)), (b"[]", (400, 422)), (b"{", (400,)), (b'{"name":1}', (400, 422)), (b"\xff\xfe", (400,)), (b"null", (400, 422)),
    (b'{"name":"a","password":"' + b"x" * 1_000 + b'"}', (422, 401, 413)), (b"[" * 5_000, (400, 422)), (b'{"a":' * 3_000, (400, 422)),
], ids=lambda b: repr(b)[:24])
def test_a_body_that_is_not_understood_is_a_problem_document(box, body, status):
    answer = box.rest().request("POST", "/v1/login", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert set(answer.json()) >= {"type", "code", "status", "title", "detail", "temporary"}


def test_a_body_that_is_too_large_is_413_before_it_is_read(box):
    answer = box.rest().request("POST", "/v1/login", data=b"x" * 300_000, headers={"Content-Type": "application/json"})
    is_problem(answer, 413, "too_large")
    head = f"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    answer = http_exchange(box.port("http"), head, until_headers=True)
    assert answer.startswith(b"HTTP/1.1 413") or answer.startswith(b"HTTP/1.1 400"), answer[:80]


def test_a_chunked_body_has_the_same_limit(box):
    def chunks():
        for _ in range(400):
            yield b"x" * 1_000

    try:
        answer = box.rest().request("POST", "/v1/login", data=chunks(), headers={"Content-Type": "application/json"})
    except Exception as error:  # closed while still sending is an answer too
        assert "reset" in str(error).lower() or "broken pipe" in str(error).lower() or "aborted" in str(error).lower(), error
    else:
        is_problem(answer, 413, "too_large")


def test_headers_that_are_too_large_are_refused(box):
    for headers in ("X-Long: " + "x" * 100_000 + "\r\n", "".join(f"X-{n}: {'y' * 100}\r\n" for n in range(2_000))):
        answer = http_exchange(box.port("http"), f"GET /healthz HTTP/1.1\r\nHost: x\r\n{headers}\r\n", until_headers=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431") or answer.startswith(b"HTTP/1.1 400"), answer[:80]


@pytest.mark.parametrize("token", ["", "x", "sk_" + "a" * 52, "sk_" + "a" * 8_000, "Bearer"])
def test_a_wrong_token_is_401_and_says_how_to_come_in(box, token):
    answer = box.rest().get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    if len(token) > 5_000 and answer.status_code in (400, 431):
        return
    is_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=99999999999999999999", "before=nonsense", "before=a&after=b"])
def test_a_wrong_query_is_refused_not_bent(box, query):
    ann, bob = box.people("ann", "bob")
    conv = ok(ann.rest.post("/v1/conversations", {"type": "direct", "user": bob.id}))["conversation"]["id"]
    answer = ann.rest.get(f"/v1/conversations/{conv}/messages?{query}")
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] in ("bad_request", "payload_invalid")


def test_every_answer_has_a_request_id_that_is_in_the_log_of_errors(box):
    first, second = box.rest().get("/healthz"), box.rest().get("/v1/me")
    ids = {first.headers["X-Request-ID"], second.headers["X-Request-ID"]}
    assert len(ids) == 2 and all(ids)


# MARK: pages

@pytest.mark.parametrize("path", ["/nothing-here", "/v2/me", "/assets/nothing.js"])
def test_a_page_that_is_not_there_is_404(box, path):
    answer = box.rest().get(path)
    assert answer.status_code == 404 and "Content-Security-Policy" in answer.headers


def test_the_page_is_served_with_a_strict_policy(box):
    answer = box.rest().get("/")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    directives = dict((d.split()[0], d.split()[1:]) for d in policy.split(";") if d.strip())
    assert directives["default-src"] in (["'none'"], ["'self'"])
    assert "'unsafe-inline'" not in policy.replace("style-src 'self' 'unsafe-inline'", "x") and "'unsafe-eval'" not in policy and "*" not in policy
    assert directives["frame-ancestors"] == ["'none'"] and directives.get("base-uri") in (["'none'"], ["'self'"])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin")
    assert "<script>" not in answer.text and not re.search(r"https?://(?!www\.w3\.org)", answer.text), "nothing from elsewhere, nothing inline"


def assets(box):
    """Everything the page names, and what that names."""
    found, todo = set(), ["/"]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        answer = box.rest().get(path)
        assert answer.status_code == 200, path
        found.add(path)
        if "image" not in answer.headers["Content-Type"]:
            names = re.findall(r"""(?:src|href)=["']([^"'#:]+)["']|(?:from|import)\s*\(?["']([^"':]+)["']""", answer.text)
            todo += [p for p in (urllib.parse.urljoin(path, a or b) for a, b in names) if p.startswith("/") and not p.startswith("/v1")]
    return found


def test_every_asset_comes_with_a_strong_etag_and_304(box):
    paths = assets(box)
    assert len(paths) >= 3, paths
    for path in paths:
        first = box.rest().get(path)
        tag = first.headers["ETag"]
        assert re.fullmatch(r'"[^"]+"', tag), f"{path}: {tag}"
        again = box.rest().get(path, headers={"If-None-Match": tag})
        assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == tag
        assert box.rest().get(path, headers={"If-None-Match": f'"other", {tag}'}).status_code == 304
        assert box.rest().get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        head = box.rest().request("HEAD", path)
        assert head.status_code == 200 and head.content == b"" and head.headers["ETag"] == tag


def test_pages_are_compressed_for_who_can_read_it(box):
    for path in sorted(assets(box))[:6]:
        plain = box.rest().get(path, headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain.headers
        packed = box.rest().get(path, headers={"Accept-Encoding": "gzip"}, stream=True)
        raw = packed.raw.read(decode_content=False)
        if packed.headers.get("Content-Encoding") == "gzip":
            assert gzip.decompress(raw) == plain.content and len(raw) < len(plain.content)
            assert "accept-encoding" in packed.headers["Vary"].lower()
        else:
            assert len(plain.content) < 1_500 or "image" in plain.headers["Content-Type"], path
    assert box.rest().get("/", headers={"Accept-Encoding": "gzip"}).headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/\x00", "/%00", "/%ff", "/.git/config", "/run/claim.link"])
def test_no_path_leads_out_of_the_pages(box, path):
    answer = http_exchange(box.port("http"), f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 4"), answer[:80]
    assert b"root:" not in answer


def test_admin_page_is_there_and_holds_no_data_of_its_own(box):
    answer = box.rest().get("/admin")
    assert answer.status_code in (200, 301, 302, 308)
    if answer.status_code == 200:
        assert "Content-Security-Policy" in answer.headers and box.admin.name + "-" not in answer.text


# MARK: operation

def test_health_readiness_and_metrics(box):
    assert box.rest().get("/healthz").status_code == 200
    ready = box.rest().get("/readyz")
    assert ready.status_code == 200 and ready.json() == {"ready": True, "reasons": []}
    ann = box.person("ann")
    with ann.chat() as chat:
        chat.request("ping")
        metrics = box.rest(address="127.0.0.1").get("/metrics")
    assert metrics.status_code == 200 and metrics.headers["Content-Type"].startswith("text/plain")
    values = {}
    for line in metrics.text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? -?[0-9.e+-]+|[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? (NaN|\+Inf)', line), line
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    assert values["skerry_websocket_opened_total"] >= 1 and values["skerry_websocket_frames_in_total"] >= 2
    for name in {n.split("{")[0] for n in values}:
        assert f"# HELP {name.removesuffix('_bucket').removesuffix('_sum').removesuffix('_count')}" in metrics.text or f"# HELP {name} " in metrics.text
        assert f"# TYPE {name}" in metrics.text or "_bucket" in name or "_sum" in name or "_count" in name


def test_the_descriptions_are_served(box):
    openapi = box.rest().get("/v1/openapi.json")
    assert openapi.status_code == 200 and openapi.headers["Content-Type"].startswith("application/")
    assert openapi.json()["openapi"].startswith("3.1")
    asyncapi = box.rest().get("/v1/asyncapi.json")
    assert asyncapi.status_code == 200 and asyncapi.json()["asyncapi"].startswith("3.")


def operations(box):
    document = box.rest().get("/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            if method in ("get", "put", "post", "patch", "delete"):
                yield method.upper(), path, methods[method], document


def test_every_described_operation_answers_as_described(box):
    """With ids that name nothing: a path that is described but not there would be 404 with `not_found` for the path, or 405."""
    ann = box.person("ann", role="admin")
    seen = 0
    for method, path, operation, document in operations(box):
        base = next((s["url"] for s in document.get("servers", [])), "")
        prefix = "" if path.startswith("/v1") or path in ("/healthz", "/readyz", "/metrics") else ("/v1" if base in ("", "/") else base.rstrip("/"))
        real = prefix + re.sub(r"\{[^}]+\}", "a" * 25 + "0", path)
        if real.endswith("/v1/ws") or real.endswith("/logout"):
            continue
        body = {} if method in ("POST", "PUT", "PATCH") else None
        answer = ann.rest.request(method, real, json=body)
        assert answer.status_code != 405 and answer.status_code < 500, f"{method} {real}: {answer.status_code} {answer.text}"
        described = operation["responses"]
        assert str(answer.status_code) in described or "default" in described or f"{answer.status_code // 100}XX" in described, f"{method} {real}: {answer.status_code} is not described"
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"].startswith("application/problem+json"), f"{method} {real}"
        seen += 1
    assert seen >= 35


def test_every_path_of_the_contract_is_described(box):
    described = {(method, ("/v1" + path if not path.startswith("/v1") and path not in ("/healthz", "/readyz", "/metrics") else path)) for method, path, _, _ in operations(box)}
    described = {(m, re.sub(r"\{[^}]+\}", "{}", p)) for m, p in described}
    for line in """POST /v1/claim|POST /v1/login|POST /v1/logout|GET /v1/me|PATCH /v1/me|POST /v1/me/password|GET /v1/me/devices|DELETE /v1/me/devices/{}|POST /v1/invites/check
        POST /v1/invites/accept|POST /v1/reset|GET /v1/users|GET /v1/conversations|POST /v1/conversations|GET /v1/conversations/{}|PATCH /v1/conversations/{}
        POST /v1/conversations/{}/members|PUT /v1/conversations/{}/members/{}|DELETE /v1/conversations/{}/members/{}|GET /v1/conversations/{}/messages
        POST /v1/conversations/{}/messages|PATCH /v1/messages/{}|DELETE /v1/messages/{}|PUT /v1/messages/{}/reactions|POST /v1/conversations/{}/receipt|GET /v1/sync
        PUT /v1/blocks/{}|DELETE /v1/blocks/{}|GET /v1/blocks|GET /v1/admin/overview|GET /v1/admin/online|GET /v1/admin/users|POST /v1/admin/users
        POST /v1/admin/users/{}/lock|POST /v1/admin/users/{}/unlock|POST /v1/admin/users/{}/reset|PATCH /v1/admin/users/{}|GET /v1/admin/invites|POST /v1/admin/invites
        DELETE /v1/admin/invites/{}|GET /v1/admin/listeners""".replace("\n", "|").split("|"):
        method, path = line.split()
        assert (method, path) in described, f"{method} {path} is not described"


def test_the_admins_list_of_listeners_is_what_listens(box):
    items = ok(box.admin.rest.get("/v1/admin/listeners"))["items"]
    assert {(l["kind"], l["port"]) for l in items} == {(l["kind"], l["port"]) for l in box.endpoints["listeners"]}


# MARK: connections

def test_requests_on_one_connection_are_answered_in_order(box):
    requests = b"".join(f"GET /healthz?{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for n in range(20)) + b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = http_exchange(box.port("http"), requests)
    assert answer.count(b"HTTP/1.1 200") == 20 and answer.count(b"HTTP/1.1 404") == 1
    assert answer.rindex(b"HTTP/1.1 200") < answer.index(b"HTTP/1.1 404")


def test_a_request_that_comes_in_pieces_is_answered(box):
    with Raw(box.port("http")) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            raw.write(bytes([byte]))
        assert raw.drain().startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("headers", ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6", "Content-Length: -1", "Content-Length: 5, 5, 6",
                                     "Transfer-Encoding: nonsense", "Content-Length: 0x5"])
def test_a_request_whose_end_is_doubtful_is_refused_and_the_connection_closed(box, headers):
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = http_exchange(box.port("http"), f"POST /v1/login HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode() + smuggled)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 501"), answer[:80]
    assert answer.count(b"HTTP/1.1") <= 1, answer


def test_many_clients_at_once_are_served(box):
    errors = []

    def client():
        rest = box.rest()
        for _ in range(20):
            if rest.get("/healthz").status_code != 200:
                errors.append(1)

    threads = [threading.Thread(target=client) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_json_answers_are_not_cached_and_not_guessed(box):
    answer = box.admin.rest.get("/v1/me")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    json.loads(answer.content.decode("utf-8"))
