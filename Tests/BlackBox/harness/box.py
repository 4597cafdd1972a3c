"""A real `skerry serve` process on a directory of its own."""

import json
import os
import pathlib
import random
import secrets
import signal
import socket
import subprocess
import threading
import time

from .chat import Chat
from .mqtt import MQTTClient
from .rest import REST, ok

ROOT = pathlib.Path(__file__).resolve().parents[3]
START_SECONDS = 30.0
STOP_SECONDS = 20.0


def binary() -> str:
    """`SKERRY_BIN`, else what `swift build` makes."""
    return os.environ.get("SKERRY_BIN") or str(ROOT / ".build" / "debug" / "skerry")


def environment() -> dict:
    """The environment without what would be read as a setting."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SKERRY_")}


def free_address() -> str:
    """Some loopback address, to be a client at another place: the box counts tries of logins and connections by address."""
    return f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}"


def free_port() -> int:
    """A port for a box that must come back at the same place, where nobody else goes meanwhile: below the range of outgoing connections."""
    while True:
        port = random.SystemRandom().randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Box:
    """One box: started, claimed when first needed, stopped, killed and started again.

    Ports are chosen by the box; `directory/run/endpoints.json` tells which, once all of them listen.
    """

    def __init__(self, directory, *options: str, config: str | None = None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.options = list(options)
        self.log_path = self.directory.parent / (self.directory.name + ".log")
        self.host = "127.0.0.1"
        self.bind = "127.0.0.1"
        self.prefix: list[str] = []  # what starts the program somewhere else: another network namespace, another clock
        self.variables: dict[str, str] = {}
        self.process: subprocess.Popen | None = None
        self.endpoints: dict = {}
        self._admin: Person | None = None
        self._claiming = threading.Lock()
        if config is not None:
            path = self.directory.parent / (self.directory.name + ".conf")
            path.write_text(config, encoding="utf-8")
            self.options += ["--config", str(path)]

    # MARK: the process

    def launch(self) -> None:
        """Starts the process without waiting for anything."""
        assert self.process is None, "the box runs already"
        self._published.unlink(missing_ok=True)  # what a killed box left says nothing about this one
        command = [*self.prefix, binary(), "serve", "--data", str(self.directory), "--bind", self.bind]
        for option in ("--http-port", "--https-port", "--mqtt-port", "--mqtts-port", "--federation-port"):
            if option not in self.options:
                command += [option, "0"]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command + self.options, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**environment(), **self.variables},
                start_new_session=True)

    def start(self) -> "Box":
        """Starts the process and waits until all listeners are open."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                code = self.process.returncode
                self.process = None
                raise AssertionError(f"skerry ended with {code} at start:\n{self.log(40)}")
            try:
                self.endpoints = json.loads(self._published.read_text(encoding="utf-8"))
                return self
            except (FileNotFoundError, json.JSONDecodeError):
                pass
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"skerry published no endpoints in {START_SECONDS:g} s:\n{self.log(40)}")
            time.sleep(0.002)

    @property
    def _published(self) -> pathlib.Path:
        return self.directory / "run" / "endpoints.json"

    def kill(self) -> None:
        """As a power cut for the process: SIGKILL."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self) -> int:
        """Asks it to stop, as the service manager does; its exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"skerry did not stop within {STOP_SECONDS:g} s of SIGTERM:\n{self.log(40)}")
        self.process = None
        return code

    def stop(self) -> None:
        if self.process:
            code = self.terminate()
            assert code == 0, f"skerry ended with {code} after SIGTERM:\n{self.log(40)}"

    def restart(self) -> "Box":
        self.stop()
        return self.start()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self, lines: int | None = None) -> str:
        text = self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) if lines else text

    def cli(self, *arguments: str, input: str | None = None, seconds: float = 60) -> subprocess.CompletedProcess:
        """`skerry VERB … --data DIRECTORY` with what it prints."""
        return run_cli(*arguments, "--data", str(self.directory), input=input, seconds=seconds)

    # MARK: where it listens

    def port(self, kind: str) -> int:
        """The port of `http`, `https`, `mqtt` or `mqtts`."""
        for listener in self.endpoints["listeners"]:
            if listener["kind"] + ("s" if listener["tls"] else "") == kind:
                return listener["port"]
        raise AssertionError(f"no {kind} listener among {self.endpoints['listeners']}")

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port('http')}"

    @property
    def https_url(self) -> str:
        return f"https://{self.host}:{self.port('https')}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}:{self.port('http')}/v1/ws"

    def rest(self, token: str | None = None, address: str | None = None) -> REST:
        return REST(self.url, token, address or self.client_address())

    def client_address(self) -> str | None:
        """From where a client of its own comes."""
        return free_address() if self.host == "127.0.0.1" else None

    # MARK: people

    def claim_link(self) -> str:
        return (self.directory / "run" / "claim.link").read_text(encoding="utf-8").strip()

    def claim_token(self) -> str:
        return self.claim_link().rsplit("/", 1)[1]

    @property
    def admin(self) -> "Person":
        """The first administrator; the box is claimed when this is first asked for."""
        with self._claiming:
            if self._admin is None:
                password = "claim " + secrets.token_hex(6)
                body = {"token": self.claim_token(), "name": "admin", "password": password, "device": "tests"}
                login = ok(self.rest().post("/v1/claim", body))
                self._admin = Person(self, "admin", password, login)
            return self._admin

    def person(self, name: str = "user", role: str = "user", exact: bool = False) -> "Person":
        """A new user, made by the administrator and logged in; the name gets a tail of its own unless it must be `exact`."""
        if not exact:
            name = f"{name}-{secrets.token_hex(4)}"
        password = "word " + secrets.token_hex(6)
        ok(self.admin.rest.post("/v1/admin/users", {"name": name, "password": password, "role": role}))
        return Person(self, name, password)

    def people(self, *names: str) -> list["Person"]:
        return [self.person(name) for name in names]


class Person:
    """A user of a box with one logged-in device, at an address of their own."""

    def __init__(self, box: Box, name: str, password: str, login: dict | None = None):
        self.box = box
        self.name = name
        self.password = password
        self.address = box.client_address()
        self.login(login)

    def login(self, login: dict | None = None, device: str = "tests") -> dict:
        """A new device with its token."""
        login = login or ok(self.box.rest(address=self.address).post("/v1/login", {"name": self.name, "password": self.password, "device": device}))
        self.token: str = login["token"]
        self.id: str = login["user"]
        self.device: str = login["device"]
        return login

    @property
    def rest(self) -> REST:
        return REST(self.box.url, self.token, self.address)

    def chat(self, cursor: str | None = None, hello: bool = True, **options) -> Chat:
        """A WebSocket that has said hello."""
        chat = Chat(self.box.ws_url, address=self.address, **options)
        if hello:
            chat.hello(self.token, cursor=cursor)
        return chat

    def mqtt(self, client_id: str | None = None, **options) -> MQTTClient:
        """A paho client, connected with the device's token."""
        options.setdefault("port", self.box.port("mqtt"))
        options.setdefault("username", self.name)
        options.setdefault("password", self.token)
        return MQTTClient(client_id=client_id, address=self.address, **options).connect()

    def mosquitto(self) -> list[str]:
        """The options with which mosquitto_pub and mosquitto_sub come in as this person."""
        return ["-h", "127.0.0.1", "-p", str(self.box.port("mqtt")), "-u", self.name, "-P", self.token]

    def __repr__(self) -> str:
        return f"Person({self.name})"


def run_cli(*arguments: str, input: str | None = None, env: dict | None = None, seconds: float = 60) -> subprocess.CompletedProcess:
    """Runs `skerry` with `arguments`; standard input is empty unless `input` is given."""
    return subprocess.run(
        [binary(), *arguments], input=input if input is not None else "", capture_output=True, text=True, timeout=seconds, env={**environment(), **(env or {})})
