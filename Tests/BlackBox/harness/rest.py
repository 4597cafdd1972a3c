"""The REST interface as a client sees it."""

import requests
from requests.adapters import HTTPAdapter


class _FromAddress(HTTPAdapter):
    """Connects from an address of its own, because the box counts tries of logins by address."""

    def __init__(self, address: str):
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, source_address=(self._address, 0), **kwargs)


class REST:
    """`rest.get("/v1/me")`: sends the token, follows no redirect, never raises for a status."""

    TIMEOUT_SECONDS = 30

    def __init__(self, url: str, token: str | None = None, address: str | None = None, verify: bool | str = True):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = verify
        if address:
            self.session.mount("http://", _FromAddress(address))
            self.session.mount("https://", _FromAddress(address))
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **options) -> requests.Response:
        options.setdefault("timeout", self.TIMEOUT_SECONDS)
        options.setdefault("allow_redirects", False)
        return self.session.request(method, self.url + path, **options)

    def get(self, path: str, **options):
        return self.request("GET", path, **options)

    def post(self, path: str, body=None, **options):
        return self.request("POST", path, json=body, **options)

    def put(self, path: str, body=None, **options):
        return self.request("PUT", path, json=body, **options)

    def patch(self, path: str, body=None, **options):
        return self.request("PATCH", path, json=body, **options)

    def delete(self, path: str, **options):
        return self.request("DELETE", path, **options)

    def close(self):
        self.session.close()


def is_problem(response: requests.Response, status: int, code: str) -> dict:
    """Asserts that `response` is the problem document of the registry's `code`; returns it."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    assert response.headers["Content-Type"].split(";")[0] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status, problem
    assert problem["title"] and isinstance(problem["temporary"], bool), problem
    return problem


def ok(response: requests.Response, *statuses: int):
    """The JSON of a response that must have succeeded; None for 204."""
    assert response.status_code in (statuses or (200, 201, 204)), f"{response.request.method} {response.url}: {response.status_code} {response.text}"
    return response.json() if response.content else None
