"""Services on our port beside Verification and Storage: what each offers, to whom, and who handles it.

A service plugs in by being given to the listener: `Listener(config, database, services=[Commitment(...)])`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import structlog
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association

from dicom_node.access import Right

log = structlog.get_logger("listen")

Handler = Callable[[evt.Event], Any]
"""What pynetdicom calls: its answer is what pynetdicom documents for the event, such as `(status, dataset)`."""

_NO_SUCH_CLASS = 0x0122  # PS3.7 C: SOP class not supported
_ANSWERS_WITH_STATUS_ALONE = frozenset({"EVT_C_ECHO", "EVT_C_STORE"})


@dataclass(frozen=True, slots=True)
class Offer:
    """One SOP class that a service takes on associations which others open.

    rights: a peer with any of them may ask for it; everybody else gets the context refused, strangers no association.
    scu_role, scp_role: what we grant where the peer proposes roles (PS3.7 D.3.3.4): `scp_role=True` lets it be the SCP,
    as a PACS must be that reports on a storage commitment in an association of its own. None: no answer about roles.
    """

    sop_class_uid: str
    rights: frozenset[Right]
    transfer_syntaxes: tuple[str, ...] = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
    scu_role: bool | None = None
    scp_role: bool | None = None


class Service(Protocol):
    """What the listener asks of a service, once, when the port opens.

    Handlers run in the thread of the association that asks. What they raise is logged (`service_broken`), and
    pynetdicom answers 0x0110, processing failure (PS3.7 C.4.10).
    """

    @property
    def offers(self) -> Sequence[Offer]:
        """SOP classes; no two services offer the same."""
        ...

    @property
    def handlers(self) -> Mapping[evt.InterventionEvent, Handler]:
        """By event, such as `evt.EVT_N_ACTION`; several services may handle the same event for their own classes."""
        ...


@dataclass(frozen=True, slots=True)
class Directory:
    """All further services of one port."""

    services: tuple[Service, ...] = ()

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Of all services, in their order."""
        return tuple(offer for service in self.services for offer in service.offers)

    def needed(self) -> Mapping[str, frozenset[Right]]:
        """SOP Class UID -> the rights of which a peer needs one."""
        return MappingProxyType({offer.sop_class_uid: offer.rights for offer in self.offers})

    def support(self, ae: AE) -> None:
        """Add what the services offer to what the application entity supports."""
        for offer in self.offers:
            ae.add_supported_context(
                offer.sop_class_uid, list(offer.transfer_syntaxes), scu_role=offer.scu_role, scp_role=offer.scp_role
            )

    def event_handlers(self) -> list[tuple[evt.EventType, Handler]]:
        """One handler for each event: it hands the request to the service that offers the class."""
        events = {event for service in self.services for event in service.handlers}
        return [(event, self._dispatch(event)) for event in sorted(events, key=lambda event: event.name)]

    def _dispatch(self, event: evt.InterventionEvent) -> Handler:
        by_class = {
            offer.sop_class_uid: service.handlers[event]
            for service in self.services
            if event in service.handlers
            for offer in service.offers
        }

        def handle(request: evt.Event) -> Any:
            handler = by_class.get(str(request.context.abstract_syntax))
            if handler is None:
                return _NO_SUCH_CLASS if event.name in _ANSWERS_WITH_STATUS_ALONE else (_NO_SUCH_CLASS, None)
            with ExitStack() as broken:
                broken.push(_log_trouble(request))
                return handler(request)

        return handle


def withhold(association: Association, sop_class_uids: Collection[str]) -> None:
    """Refuse these classes in this association only, before it is negotiated."""
    supported = association.acceptor.supported_contexts
    association.acceptor.supported_contexts = [
        context for context in supported if str(context.abstract_syntax) not in sop_class_uids
    ]


def _log_trouble(request: evt.Event) -> Callable[..., None]:
    def tell(kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if kind is not None:
            log.error(
                "service_broken",
                exc_info=error,
                request=request.event.name,
                sop_class_uid=str(request.context.abstract_syntax),
                calling_ae_title=str(request.assoc.requestor.ae_title).strip(),
            )

    return tell
