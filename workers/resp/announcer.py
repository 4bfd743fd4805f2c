"""Tells clients what confirmed commits have changed: those who watch keys, and those who listen to notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from workers.resp.notifications import Flags, announce
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.siblings import Siblings
    from workers.resp.channels import Channels
    from workers.resp.node_access import NodeAccess
    from workers.resp.transaction import Watch

__all__ = ["Announcer"]


class Announcer:
    """Follows the commits of `node`, for `channels` and for `watches`.

    It follows them only while somebody watches or listens; otherwise a commit costs nothing here.
    """

    def __init__(self, node: NodeAccess, channels: Channels) -> None:
        self.watches: WeakSet[Watch] = WeakSet()
        self.flags = Flags()
        """Which notifications are sent."""
        self._node = node
        self._channels = channels

    def watch(self, watch: Watch) -> None:
        """Have `watch` know of every commit from now on that changes one of its keys."""
        self.watches.add(watch)
        self._node.observe(self._changed)

    def follow(self) -> None:
        """Follow commits from now on: somebody listens to a channel."""
        self._node.observe(self._changed)

    def _changed(self, changed: Mapping[tuple[bytes, str, bytes], Siblings]) -> None:
        """Tell whom a confirmed commit concerns. `changed` has the parts that it changed, and what each was before."""
        if self.watches:
            keys = {key for key, _, _ in changed}
            for watch in self.watches:
                watch.note(keys, self._node.replica, wall_ms())
        if not self._channels.silent:
            announce(changed, self._node.catalogue, wall_ms(), self._channels.publish, self.flags)
        elif not self.watches:
            self._node.stop_observing(self._changed)
