"""The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), with the parts open for a test to put something else in."""

import base64
import hashlib
import hmac
import secrets

METHOD = "SCRAM-SHA-256"


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


class Scram:
    """One exchange: `first` goes out, `final(challenge)` answers, `believes(server_final)` tells whether the box knew the password."""

    def __init__(self, name: str, password: str, header: str = "n,,", nonce: str | None = None):
        self.name, self.password, self.header = name, password, header
        self.nonce = nonce or secrets.token_urlsafe(18)
        self.signature = b""

    @property
    def bare(self) -> str:
        return f"n={self.name.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"

    @property
    def first(self) -> bytes:
        return (self.header + self.bare).encode()

    @staticmethod
    def fields(message: bytes) -> dict[str, str]:
        return {field[0]: field[2:] for field in message.decode().split(",")}

    def final(self, challenge: bytes) -> bytes:
        asked = self.fields(challenge)
        assert asked["r"].startswith(self.nonce) and len(asked["r"]) >= len(self.nonce) + 16, "the box adds a nonce of its own"
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(asked["s"], validate=True), int(asked["i"]))
        client_key, server_key = _hmac(salted, b"Client Key"), _hmac(salted, b"Server Key")
        without_proof = f"c={base64.b64encode(self.header.encode()).decode()},r={asked['r']}"
        signed = ",".join([self.bare, challenge.decode(), without_proof]).encode()
        proof = bytes(a ^ b for a, b in zip(client_key, _hmac(hashlib.sha256(client_key).digest(), signed)))
        self.signature = _hmac(server_key, signed)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def believes(self, message: bytes | None) -> bool:
        return message == b"v=" + base64.b64encode(self.signature)
