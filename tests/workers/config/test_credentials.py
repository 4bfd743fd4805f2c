"""The password and the certificates: who is let in, what is refused, and what is never shown."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from crdt_core.errors import SettingsError
from workers.config.credentials import Credentials, resp_tls
from workers.config.protection import SecuritySettings

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cret"  # noqa: S105


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A certificate, its key and its CA, as files."""
    ca = trustme.CA()
    certificate = ca.issue_cert("localhost")
    found = {"certificate": tmp_path / "certificate.pem", "key": tmp_path / "key.pem", "ca": tmp_path / "ca.pem"}
    found["certificate"].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    found["key"].write_bytes(certificate.private_key_pem.bytes())
    found["ca"].write_bytes(ca.cert_pem.bytes())
    return found


def settings_for(face: str, files: dict[str, Path], *names: str) -> SecuritySettings:
    found: dict[str, Any] = {f"{face}_{name}": files[name] for name in names}
    return SecuritySettings(**found)


def test_only_the_password_is_admitted() -> None:
    credentials = Credentials("s3cret")
    assert credentials.admits(credentials.metadata)
    assert credentials.admits([("other", "x"), ("authorization", b"Bearer s3cret")])
    for metadata in (
        [],
        [("authorization", "Bearer s3cre")],
        [("authorization", "s3cret")],
        [("auth", "Bearer s3cret")],
    ):
        assert not credentials.admits(metadata)


def test_without_a_password_everybody_is_admitted_and_clients_send_nothing() -> None:
    assert Credentials().admits([])
    assert Credentials().metadata == ()


def test_a_password_may_come_from_a_file_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content in (b"s3cret", b"s3cret\n", b"s3cret\r\n"):
        file.write_bytes(content)
        assert Credentials.read(SecuritySettings(password_file=file)).password == SECRET
    for content in (b"", b"\n", b"s3cret words", b"s3cret\ntwo\n", "s3crét".encode()):
        file.write_bytes(content)
        said = r"security\.password_file: must hold one line of printable ASCII"
        with pytest.raises(SettingsError, match=said) as refused:
            Credentials.read(SecuritySettings(password_file=file))
        assert "s3cr" not in str(refused.value)
    file.unlink()
    with pytest.raises(SettingsError, match=r"security\.password_file: .* cannot be read: No such file"):
        Credentials.read(SecuritySettings(password_file=file))


def test_a_file_that_cannot_be_read_is_named_with_its_setting(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"security\.grpc_key: .*missing\.pem cannot be read: No such file"):
        Credentials.read(SecuritySettings(grpc_certificate=files["certificate"], grpc_key=tmp_path / "missing.pem"))


def test_nothing_secret_is_shown() -> None:
    assert "s3cret" not in repr(Credentials("s3cret", b"s3cret", b"s3cret", b"s3cret"))


def test_the_grpc_face_speaks_tls_with_a_certificate_only(files: dict[str, Path]) -> None:
    assert Credentials().for_server() is None
    assert Credentials().for_client() is None
    read = Credentials.read(settings_for("grpc", files, "certificate", "key", "ca"))
    assert read.for_server() is not None
    assert read.for_client() is not None
    assert Credentials.read(settings_for("grpc", files, "certificate", "key")).for_server() is not None
    client = Credentials.read(settings_for("grpc", files, "ca"))
    assert client.for_client() is not None
    with pytest.raises(SettingsError, match=r"security\.grpc_ca: needs grpc_certificate and grpc_key"):
        client.for_server()


def test_the_redis_face_wants_certificates_of_its_clients_only_with_a_ca(files: dict[str, Path]) -> None:
    assert resp_tls(SecuritySettings()) is None
    plain = resp_tls(settings_for("resp", files, "certificate", "key"))
    mutual = resp_tls(settings_for("resp", files, "certificate", "key", "ca"))
    assert plain is not None
    assert mutual is not None
    assert (plain.verify_mode, mutual.verify_mode) == (ssl.CERT_NONE, ssl.CERT_REQUIRED)


def test_a_certificate_that_is_none_is_named_with_its_setting(files: dict[str, Path]) -> None:
    files["ca"].write_text("no certificate")
    with pytest.raises(SettingsError, match=r"security\.resp_ca: cannot be used"):
        resp_tls(settings_for("resp", files, "certificate", "key", "ca"))
    files["key"].write_text("no key")
    with pytest.raises(SettingsError, match=r"security\.resp_certificate: cannot be used with resp_key"):
        resp_tls(settings_for("resp", files, "certificate", "key"))
