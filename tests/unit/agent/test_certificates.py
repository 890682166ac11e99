"""Certificates that end are told of a month before, by `wetread check` and the metrics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent import certificates, schema
from agent.config import Config
from agent.metrics import Exposition
from dicom_node import tls
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from reports.config import Hl7Config
from reports.people.config import OidcConfig
from tests.harness.certificates import DAY, Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


def configured(authority: Authority, **settings: timedelta) -> Config:
    ours = authority.issue("wetread", **settings)  # type: ignore[arg-type]
    return Config(
        node=NodeConfig(tls_certificate=ours.certificate, tls_key=ours.key, tls_ca=ours.authorities),
        hl7=Hl7Config(tls_certificate=ours.certificate, tls_key=ours.key),
    )


@pytest.mark.parametrize(
    ("settings", "verdict", "words"),
    [
        ({"ends": 31 * DAY}, "ok", "holds until"),
        ({"ends": 29 * DAY + DAY / 2}, "warning", "in 29 days: renew it"),
        ({"ends": 1.5 * DAY}, "warning", "in 1 day: renew it"),
        ({"begins": -9 * DAY, "ends": -DAY}, "wrong", "has expired on"),
        ({"begins": DAY, "ends": 9 * DAY}, "wrong", "is not valid before"),
    ],
)
def test_check_tells_of_a_certificate_that_ends(
    authority: Authority, settings: dict[str, timedelta], verdict: str, words: str
) -> None:
    told = {
        setting: (found, why)
        for setting, found, why in certificates.examine(configured(authority, **settings), moment())
    }
    assert set(told) == {"node.tls_certificate", "node.tls_ca", "hl7.tls_certificate"}
    assert told["node.tls_ca"][0] == "ok"
    for setting in ("node.tls_certificate", "hl7.tls_certificate"):
        assert told[setting][0] == verdict
        assert words in told[setting][1]


def moment() -> datetime:
    """Of the test: certificates are made for it."""
    return datetime.now(UTC)


def test_check_tells_of_a_certificate_that_is_gone(tmp_path: Path) -> None:
    config = Config(node=NodeConfig(tls_certificate=tmp_path / "gone.pem"))
    ((setting, verdict, words),) = certificates.examine(config, moment())
    assert (setting, verdict) == ("node.tls_certificate", "wrong")
    assert "cannot be read (No such file or directory)" in words


def test_every_certificate_of_a_file_counts(authority: Authority, tmp_path: Path) -> None:
    gone, good = authority.issue("gone", begins=-9 * DAY, ends=-3 * DAY), authority.issue("good")
    assert gone.certificate is not None
    assert good.certificate is not None
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(good.certificate.read_bytes() + gone.certificate.read_bytes())
    config = Config(node=NodeConfig(tls_ca=bundle), oidc=OidcConfig(tls_ca=gone.certificate))
    (ours, ours_verdict, words), (provider, provider_verdict, _) = certificates.examine(config, moment())
    assert (ours, ours_verdict, provider, provider_verdict) == ("node.tls_ca", "warning", "oidc.tls_ca", "wrong")
    assert "bundle.pem, certificate 2 of 2, has expired on" in words
    left = certificates.days_left(config, moment())
    assert 80 < left["node.tls_ca"] <= 90, "the other one still holds"
    assert -4 < left["oidc.tls_ca"] < -2

    chain = Config(node=NodeConfig(tls_certificate=bundle, tls_key=good.key))
    ((setting, verdict, _),) = certificates.examine(chain, moment())
    assert (setting, verdict) == ("node.tls_certificate", "wrong"), "one link of a chain is enough"


@pytest.mark.parametrize("section", ["node", "hl7", "web"])
def test_a_key_of_another_certificate_is_told_before_a_port_opens(authority: Authority, section: str) -> None:
    ours, other = authority.issue("ours"), authority.issue("other")
    config = Config.model_validate({section: {"tls_certificate": ours.certificate, "tls_key": other.key}})
    ((setting, verdict, words),) = certificates.examine(config, moment())
    assert (setting, verdict) == (f"{section}.tls_certificate", "wrong")
    assert "key values mismatch" in words


def test_metric_counts_the_days(authority: Authority, sqlite_url: str) -> None:
    database = Database(sqlite_url)
    schema.upgrade(database)
    config = configured(authority, ends=10 * DAY)
    exposition = Exposition(
        database,
        authority.folder,
        version="1",
        monotonic=lambda: 0.0,
        certificates=lambda now: certificates.days_left(config, now),
    )
    found = {
        sample.labels["setting"]: sample.value
        for family in text_string_to_metric_families(exposition.text().decode())
        for sample in family.samples
        if sample.name == "wetread_certificate_days_left"
    }
    database.close()
    assert 9 < found["node.tls_certificate"] <= 10
    assert 364 < found["node.tls_ca"] <= 365


def test_nothing_is_said_where_nothing_is_configured() -> None:
    assert list(certificates.examine(Config(), moment())) == []
    assert certificates.days_left(Config(), moment()) == {}


def test_certificate_is_read_with_its_names_and_fingerprint(authority: Authority) -> None:
    ours = authority.issue("wetread", alternatives=["wetread.example.org", "10.0.0.7"])
    assert ours.certificate is not None
    found = tls.read_certificate(ours.certificate)
    assert (found.subject, found.issuer) == ("CN=wetread", "CN=Hospital CA")
    assert found.names == ("wetread.example.org", "10.0.0.7")
    assert len(found.fingerprint.split(":")) == 32


def test_profile_is_that_of_bcp_195(authority: Authority) -> None:
    ours = authority.issue("wetread")
    for context in (tls.server_context(ours, require_client=True), tls.client_context(ours)):
        suites = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
        assert suites == set(tls.CIPHERS)
        assert context.minimum_version.name == "TLSv1_2"
        assert context.verify_mode.name == "CERT_REQUIRED"
