"""Passwords and TLS towards gRPC."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.certificates import Authority
from tests.client import NodeClient
from tests.fleet import code_of
from tests.scenarios.secured import GRPC_SECRET, Deployment, deployment, redis_server
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import ControlServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


def bearer(password: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {password}"),)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        bearer(""),
        bearer("wrong"),
        bearer(GRPC_SECRET[:-1]),
        bearer(GRPC_SECRET + "x"),
        (("authorization", GRPC_SECRET),),
        (("authorization", f"Basic {GRPC_SECRET}"),),
        (("authorization-bin", f"Bearer {GRPC_SECRET}".encode()),),
        (("password", GRPC_SECRET),),
    ],
)
def test_a_call_without_the_password_is_refused(protected: Deployment, metadata: tuple[tuple[str, str], ...]) -> None:
    with grpc.insecure_channel(protected.address) as channel:
        for call in (
            lambda: ControlServiceStub(channel).Status(pb.StatusRequest(), metadata=metadata, timeout=5),
            lambda: channel.unary_unary("/deltaic.v1.NoService/Nothing")(b"", metadata=metadata, timeout=5),
            lambda: next(
                reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                    iter([reflection_pb2.ServerReflectionRequest(list_services="")]), metadata=metadata, timeout=5
                )
            ),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert code_of(refused.value) is UNAUTHENTICATED
            assert "setting security.password" in refused.value.details()


def test_with_the_password_everything_answers_and_health_answers_without(protected: Deployment) -> None:
    with grpc.insecure_channel(protected.address) as channel:
        assert NodeClient(channel).is_serving()
        known = bearer(GRPC_SECRET)
        assert ControlServiceStub(channel).Status(pb.StatusRequest(), metadata=known, timeout=5).node == "n1"
        services = next(
            reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([reflection_pb2.ServerReflectionRequest(list_services="")]), metadata=known, timeout=5
            )
        )
        assert services.list_services_response.service


def test_the_command_shows_the_password_and_says_so_where_it_is_wrong(protected: Deployment, tmp_path: Path) -> None:
    assert protected.run("incr", "hits").returncode == 0
    assert json.loads(protected.run("status", "--json").stdout)["nodes"]["n1"]["markers"] == 0
    wrong = tmp_path / "fleet.toml"
    text = protected.file.read_text("utf-8")
    wrong.write_text(re.sub("password_file = .*", 'password = "wr0ng"', text), "utf-8")
    refused = protected.run("get", "hits", file=wrong)
    assert refused.returncode == 2
    assert refused.stderr == "deltaic: n1: the password is missing or wrong (setting security.password)\n"


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Authority]]:
    """A node whose face speaks mutual TLS."""
    directory = tmp_path_factory.mktemp("mutual")
    with ExitStack() as stack:
        server = redis_server(stack, directory)
        authority = Authority(directory / "certificates")
        pair = authority.issue("127.0.0.1", "localhost")
        files = {"grpc_certificate": pair.certificate, "grpc_key": pair.key, "grpc_ca": authority.file}
        security = "\n".join(f'{name} = "{file}"' for name, file in files.items())
        node = deployment(stack, directory, server.url, security)
        node.start("replica", "n1")
        node.wait_until_serving()
        yield node, authority


def answers(channel: grpc.Channel) -> bool:
    with channel:
        return NodeClient(channel).is_serving()


def test_grpc_over_mutual_tls(mutual: tuple[Deployment, Authority]) -> None:
    node, authority = mutual
    assert node.run("incr", "hits", "2").stdout == "n1: hits = 2\n"
    ca, client = authority.file.read_bytes(), authority.issue("some@client")
    shown = grpc.ssl_channel_credentials(ca, client.key.read_bytes(), client.certificate.read_bytes())
    assert answers(grpc.secure_channel(node.address, shown))


def test_grpc_without_a_certificate_or_without_tls_gets_no_answer(
    mutual: tuple[Deployment, Authority], tmp_path: Path
) -> None:
    node, authority = mutual
    ca = authority.file.read_bytes()
    assert not answers(grpc.insecure_channel(node.address))
    assert not answers(grpc.secure_channel(node.address, grpc.ssl_channel_credentials(ca)))
    stranger = Authority(tmp_path).issue("some@client")
    foreign = grpc.ssl_channel_credentials(ca, stranger.key.read_bytes(), stranger.certificate.read_bytes())
    assert not answers(grpc.secure_channel(node.address, foreign))
    plain = tmp_path / "plain.toml"
    plain.write_text(re.sub("grpc_.*", "", node.file.read_text("utf-8")), "utf-8")
    assert node.run("get", "hits", "--node", "n1", file=plain).returncode == 3
