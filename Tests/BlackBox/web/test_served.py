"""How the pages are served, and the QR code they draw."""

import gzip
import hashlib

import pytest
import qrcode


PATHS = ["/", "/admin", "/assets/style.css", "/assets/main.js", "/assets/icon.svg", "/assets/manifest.webmanifest"]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_tag_type_and_strict_headers_and_is_sent_once(box, path):
    rest = box.rest()
    plain = rest.get(path, headers={"Accept-Encoding": "identity"})
    assert plain.status_code == 200 and "Content-Encoding" not in plain.headers
    assert plain.headers["ETag"] == f'"{hashlib.sha256(plain.content).hexdigest()}"'
    assert plain.headers["Cache-Control"] == "no-cache" and "Accept-Encoding" in plain.headers["Vary"]
    policy = plain.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'") and "unsafe" not in policy
    assert plain.headers["X-Content-Type-Options"] == "nosniff" and plain.headers["Referrer-Policy"] == "no-referrer"
    assert plain.headers["Cross-Origin-Opener-Policy"] == "same-origin" and "geolocation=(self)" in plain.headers["Permissions-Policy"]

    packed = rest.get(path, headers={"Accept-Encoding": "gzip"}, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip" and packed.headers["ETag"] != plain.headers["ETag"]
    assert gzip.decompress(packed.raw.read()) == plain.content

    for tag in (plain.headers["ETag"], packed.headers["ETag"]):
        again = rest.get(path, headers={"If-None-Match": tag})
        assert again.status_code == 304 and again.content == b""
    head = rest.request("HEAD", path, headers={"Accept-Encoding": "identity"})
    assert head.status_code == 200 and head.headers["Content-Length"] == str(len(plain.content)) and head.content == b""


def test_a_wrong_address_gets_a_page_and_the_interface_a_problem(box):
    lost = box.rest().get("/no/such/page", headers={"Accept": "text/html"})
    assert lost.status_code == 404 and lost.headers["Content-Type"].startswith("text/html") and "Skerry" in lost.text
    problem = box.rest().get("/v1/no-such-thing")
    assert problem.status_code in (401, 404) and problem.headers["Content-Type"].startswith("application/problem+json")


def test_the_qr_code_is_the_one_of_the_standard(box, browser, rng):
    page = browser().open(box.url)
    draw = """
        const [texts, done] = arguments;
        import('/assets/qr.js').then(({ qrCode }) => done(texts.map((text) => [0, 1, 2, 3, 4, 5, 6, 7].map((mask) => qrCode(text, { mask }).map((row) => row.map(Number).join(''))))),
            (error) => done(String(error)));"""
    texts = ["".join(rng.choice("abcdefghijklmnopqrstuvwxyz234567:/#.") for _ in range(length)) for length in (1, 14, 15, 26, 60, 84, 85, 122, 152, 180, 213, 250, 287, 331, 362, 412)]
    texts.append("http://[fe80::1]:8080/#/invite/港口")
    drawn = page.driver.execute_async_script(draw, texts)
    assert isinstance(drawn, list), drawn
    for text, grids in zip(texts, drawn):
        for mask, grid in enumerate(grids):
            code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0, mask_pattern=mask)
            code.add_data(qrcode.util.QRData(text.encode(), mode=qrcode.util.MODE_8BIT_BYTE))
            code.make(fit=True)
            assert grid == ["".join(str(int(dark)) for dark in row) for row in code.modules], (len(text), mask)
    assert page.driver.execute_async_script("const done = arguments[0]; import('/assets/qr.js').then(({ qrCode }) => done(qrCode('x'.repeat(413))))") is None
