"""The whole configuration: one TOML file, environment over it, frozen once read.

The file with all keys, their defaults and what they mean is deploy/wetread.toml. `WETREAD_NODE__PORT=104` overrides
`port` in `[node]`; a file named `wetread_broker__url` in the folder that `WETREAD_SECRETS` names does the same.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from agent import environment
from agent.imaging.config import ImagingConfig
from dicom_node import mistakes
from dicom_node.config import NodeConfig
from dicom_node.credentials import Credential
from dicom_node.errors import ConfigurationError
from reports.config import FhirConfig, Hl7Config, ReportsConfig
from reports.people.config import OidcConfig
from reports.viewer_link import ViewerLink

DEFAULT_FILE = Path("/etc/wetread/wetread.toml")
_AS_SERVICE = "run it as the service's user: sudo -u wetread wetread ..."


class ReaderConfig(BaseModel):
    """Section [reader]: which model reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["cxr_llava"] = "cxr_llava"
    checkpoint: Path | None = None  # folder in the published layout; None: the demonstration checkpoint
    hub_endpoint: str = Field("https://huggingface.co", pattern=r"^https?://[^\s/]+")  # `wetread model pull`
    precision: Literal["auto", "fp32", "bf16", "int8", "nf4"] = "nf4"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    slots: int = Field(8, ge=1, le=256)  # studies read at once
    memory_gibibytes: float | None = Field(None, gt=0)  # of a GPU, at most; None: what there is
    framing: Literal["crop", "pad"] = "crop"  # the middle square of a film, as published, or all of it
    seconds: float = Field(900, gt=0)  # of one text, from its first step
    decode_seconds: float = Field(60, gt=0)  # of one film, in a process of its own
    decode_mebibytes: int = Field(4096, ge=256)
    debug_images: Path | None = None  # folder; each film is written there as the model gets it


class BrokerConfig(BaseModel):
    """Section [broker]: Redis, which carries bells and no truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = SecretStr("")  # empty: an own Redis on a unix socket in the data folder


Origin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:\d{1,5})?$")]
HostName = Annotated[str, Field(pattern=r"^[a-z0-9:]([a-z0-9.:-]*[a-z0-9])?$")]  # an address has no brackets


class WebConfig(BaseModel):
    """Section [web]: the pages and /metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bind_address: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    hosts: tuple[HostName, ...] = ()  # names by which others call these pages; the first stands in links
    tls_certificate: Path | None = None  # PEM, ours; with it the port speaks https only
    tls_key: Path | None = None  # PEM, without password; None: it stands in the file of the certificate
    frame_origins: tuple[Origin, ...] = ()  # whose pages may show the badge of a study in a frame
    proxy: tuple[IPvAnyNetwork, ...] = ()  # who terminates TLS before us; only its X-Forwarded-* are believed
    idle_minutes: float = Field(30, ge=1, le=30)  # without anything done; then the password is asked again
    session_hours: float = Field(12, gt=0, le=24)  # whatever is done
    viewer_link: str = ""  # address of a study in the site's own viewer, with places in braces; empty: none

    @field_validator("viewer_link")
    @classmethod
    def leads_to_a_viewer(cls, template: str) -> str:
        """Every process refuses to start with an address that nobody could open."""
        if template:
            ViewerLink(template)
        return template

    @field_validator("bind_address")
    @classmethod
    def an_address(cls, address: str) -> str:
        """Names may mean several cards."""
        if address != "localhost":
            ipaddress.ip_address(address)
        return address

    @model_validator(mode="after")
    def never_in_the_clear(self) -> Self:
        """The pages show patients: whoever is not on this machine comes by TLS, and to a name that is ours."""
        safe = self.tls_certificate is not None or bool(self.proxy)
        if not self.is_loopback and not safe:
            raise ValueError(
                "beyond 127.0.0.1 the pages need TLS: set tls_certificate and tls_key, or proxy, the address of the "
                "proxy that speaks https for them"
            )
        if (self.proxy or not self.is_loopback) and not self.hosts:
            raise ValueError(
                'by which names do others call the pages? Set hosts, such as ["wetread.hospital.example"]; every other '
                "Host header is refused"
            )
        if self.hosts and not safe:
            raise ValueError("hosts are for others than this machine: they need tls_certificate and tls_key, or proxy")
        if self.tls_certificate is not None and self.proxy:
            raise ValueError("tls_certificate is for pages without a proxy, proxy for those behind one: choose one")
        return self

    @property
    def is_loopback(self) -> bool:
        """Does only this machine reach the port?"""
        return self.bind_address == "localhost" or ipaddress.ip_address(self.bind_address).is_loopback

    @property
    def address(self) -> str:
        """How links begin that are given to people, such as `https://wetread.hospital.example`; no slash at the end."""
        scheme = "https" if self.tls_certificate or self.proxy else "http"
        name = self.hosts[0] if self.hosts else self.bind_address
        name = f"[{name}]" if ":" in name else name
        ordinary = bool(self.proxy) or (scheme == "https" and self.port == 443)
        return f"{scheme}://{name}" if ordinary else f"{scheme}://{name}:{self.port}"


class LogConfig(BaseModel):
    """Section [log]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


CredentialName = Annotated[str, Field(pattern=r"^[a-z0-9](_?[a-z0-9]+)*$")]  # so that the environment can name it


class DeliveryConfig(BaseModel):
    """Section [delivery]: what authorizes us at destinations, by the names that the database knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    credentials: dict[CredentialName, Credential] = Field(default_factory=dict)


class Config(BaseSettings):
    """Everything that is configured. Passed down; nothing else reads files or the environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="WETREAD_", env_nested_delimiter="__", env_parse_none_str="none"
    )

    node: NodeConfig = NodeConfig()
    reports: ReportsConfig = ReportsConfig()
    hl7: Hl7Config = Hl7Config()
    fhir: FhirConfig = FhirConfig()
    imaging: ImagingConfig = ImagingConfig()
    reader: ReaderConfig = ReaderConfig()
    broker: BrokerConfig = BrokerConfig()
    web: WebConfig = WebConfig()
    oidc: OidcConfig = OidcConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    log: LogConfig = LogConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over secret files over the configuration file."""
        secrets = NestedSecretsSettingsSource(file_secret_settings, secrets_nested_delimiter="__")
        return env_settings, secrets, init_settings

    @property
    def broker_url(self) -> str:
        """Where Celery finds Redis."""
        return self.broker.url.get_secret_value() or f"redis+socket://{self.redis_socket}"

    @property
    def redis_socket(self) -> Path:
        """The unix socket of our own Redis. Such paths have at most 107 bytes, so a deep folder gets a short one."""
        wanted = (self.node.data_folder / "redis" / "redis.sock").absolute()
        if len(os.fsencode(wanted)) <= 100:
            return wanted
        short = format(sum(byte * 257**place for place, byte in enumerate(os.fsencode(wanted))) % 16**12, "012x")
        return Path(f"/tmp/wetread-{short}.sock")  # noqa: S108  Redis makes it with mode 700


def read_config(file: Path | None) -> Config:
    """Read the file (default: /etc/wetread/wetread.toml where it exists), environment and secrets over it.

    Raises ConfigurationError that lists every mistake with the path of its key.
    """
    try:
        chosen = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    except PermissionError as error:
        raise ConfigurationError(f"cannot read {DEFAULT_FILE}: {error.strerror}; {_AS_SERVICE}") from error
    try:
        content = tomllib.loads(chosen.read_text()) if chosen else {}
    except PermissionError as error:
        raise ConfigurationError(f"cannot read {chosen}: {error.strerror}; {_AS_SERVICE}") from error
    except OSError as error:
        raise ConfigurationError(f"cannot read {chosen}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{chosen} is no TOML: {error}") from error
    secrets = os.environ.get("WETREAD_SECRETS")
    try:
        return Config(_secrets_dir=secrets, **content)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_mistakes(error, chosen))) from error
    except SettingsError as error:
        told = environment.unparsable(Config, os.environ)
        words = "a variable of the environment or a file of the secrets holds no JSON list or object where one belongs"
        raise ConfigurationError("\n".join(told) or words) from error


def unread_variables() -> list[str]:
    """One sentence for each WETREAD_ variable that sets nothing: a mistyped one is no error, but must be seen."""
    return environment.unknown(Config, os.environ)


def _mistakes(error: ValidationError, file: Path | None) -> list[str]:
    """One line a mistake: where, which key, what is wrong. Values stay out: some are secrets."""
    lines = []
    for place, what in mistakes.told(Config, error):
        where = environment.source_of(place, os.environ, file)
        key = ".".join(str(part) for part in place)
        lines.append(f"{where}: {key}: {what}")
    return lines
