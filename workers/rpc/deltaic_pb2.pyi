from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CounterKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COUNTER_KIND_UNSPECIFIED: _ClassVar[CounterKind]
    GROW_ONLY_COUNTER: _ClassVar[CounterKind]
    POSITIVE_NEGATIVE_COUNTER: _ClassVar[CounterKind]

class SetKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SET_KIND_UNSPECIFIED: _ClassVar[SetKind]
    GROW_ONLY_SET: _ClassVar[SetKind]
    OBSERVED_REMOVE_SET: _ClassVar[SetKind]
    REMOVE_WINS_SET: _ClassVar[SetKind]

class RegisterKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REGISTER_KIND_UNSPECIFIED: _ClassVar[RegisterKind]
    LAST_WRITER_WINS_REGISTER: _ClassVar[RegisterKind]
    MULTI_VALUE_REGISTER: _ClassVar[RegisterKind]

class FlagKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FLAG_KIND_UNSPECIFIED: _ClassVar[FlagKind]
    ENABLE_WINS_FLAG: _ClassVar[FlagKind]
    DISABLE_WINS_FLAG: _ClassVar[FlagKind]

class Standing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STANDING_UNSPECIFIED: _ClassVar[Standing]
    ACTIVE: _ClassVar[Standing]
    LEAVING: _ClassVar[Standing]
    SEALED: _ClassVar[Standing]
    FOLDED: _ClassVar[Standing]
COUNTER_KIND_UNSPECIFIED: CounterKind
GROW_ONLY_COUNTER: CounterKind
POSITIVE_NEGATIVE_COUNTER: CounterKind
SET_KIND_UNSPECIFIED: SetKind
GROW_ONLY_SET: SetKind
OBSERVED_REMOVE_SET: SetKind
REMOVE_WINS_SET: SetKind
REGISTER_KIND_UNSPECIFIED: RegisterKind
LAST_WRITER_WINS_REGISTER: RegisterKind
MULTI_VALUE_REGISTER: RegisterKind
FLAG_KIND_UNSPECIFIED: FlagKind
ENABLE_WINS_FLAG: FlagKind
DISABLE_WINS_FLAG: FlagKind
STANDING_UNSPECIFIED: Standing
ACTIVE: Standing
LEAVING: Standing
SEALED: Standing
FOLDED: Standing

class IncrementCounterRequest(_message.Message):
    __slots__ = ("counter_id", "amount", "kind")
    COUNTER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    counter_id: str
    amount: int
    kind: CounterKind
    def __init__(self, counter_id: _Optional[str] = ..., amount: _Optional[int] = ..., kind: _Optional[_Union[CounterKind, str]] = ...) -> None: ...

class IncrementCounterResponse(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: int
    def __init__(self, value: _Optional[int] = ...) -> None: ...

class DecrementCounterRequest(_message.Message):
    __slots__ = ("counter_id", "amount", "kind")
    COUNTER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    counter_id: str
    amount: int
    kind: CounterKind
    def __init__(self, counter_id: _Optional[str] = ..., amount: _Optional[int] = ..., kind: _Optional[_Union[CounterKind, str]] = ...) -> None: ...

class DecrementCounterResponse(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: int
    def __init__(self, value: _Optional[int] = ...) -> None: ...

class GetCounterRequest(_message.Message):
    __slots__ = ("counter_id",)
    COUNTER_ID_FIELD_NUMBER: _ClassVar[int]
    counter_id: str
    def __init__(self, counter_id: _Optional[str] = ...) -> None: ...

class GetCounterResponse(_message.Message):
    __slots__ = ("value", "kind")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    value: int
    kind: CounterKind
    def __init__(self, value: _Optional[int] = ..., kind: _Optional[_Union[CounterKind, str]] = ...) -> None: ...

class AddToSetRequest(_message.Message):
    __slots__ = ("set_id", "element", "kind")
    SET_ID_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    set_id: str
    element: str
    kind: SetKind
    def __init__(self, set_id: _Optional[str] = ..., element: _Optional[str] = ..., kind: _Optional[_Union[SetKind, str]] = ...) -> None: ...

class AddToSetResponse(_message.Message):
    __slots__ = ("added",)
    ADDED_FIELD_NUMBER: _ClassVar[int]
    added: bool
    def __init__(self, added: _Optional[bool] = ...) -> None: ...

class RemoveFromSetRequest(_message.Message):
    __slots__ = ("set_id", "element", "kind")
    SET_ID_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    set_id: str
    element: str
    kind: SetKind
    def __init__(self, set_id: _Optional[str] = ..., element: _Optional[str] = ..., kind: _Optional[_Union[SetKind, str]] = ...) -> None: ...

class RemoveFromSetResponse(_message.Message):
    __slots__ = ("removed",)
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    removed: bool
    def __init__(self, removed: _Optional[bool] = ...) -> None: ...

class GetSetRequest(_message.Message):
    __slots__ = ("set_id",)
    SET_ID_FIELD_NUMBER: _ClassVar[int]
    set_id: str
    def __init__(self, set_id: _Optional[str] = ...) -> None: ...

class GetSetResponse(_message.Message):
    __slots__ = ("elements", "kind")
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    elements: _containers.RepeatedScalarFieldContainer[str]
    kind: SetKind
    def __init__(self, elements: _Optional[_Iterable[str]] = ..., kind: _Optional[_Union[SetKind, str]] = ...) -> None: ...

class SetRegisterRequest(_message.Message):
    __slots__ = ("register_id", "value", "timestamp", "kind")
    REGISTER_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    register_id: str
    value: str
    timestamp: int
    kind: RegisterKind
    def __init__(self, register_id: _Optional[str] = ..., value: _Optional[str] = ..., timestamp: _Optional[int] = ..., kind: _Optional[_Union[RegisterKind, str]] = ...) -> None: ...

class SetRegisterResponse(_message.Message):
    __slots__ = ("applied",)
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    applied: bool
    def __init__(self, applied: _Optional[bool] = ...) -> None: ...

class GetRegisterRequest(_message.Message):
    __slots__ = ("register_id",)
    REGISTER_ID_FIELD_NUMBER: _ClassVar[int]
    register_id: str
    def __init__(self, register_id: _Optional[str] = ...) -> None: ...

class GetRegisterResponse(_message.Message):
    __slots__ = ("values", "timestamp", "kind")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    timestamp: int
    kind: RegisterKind
    def __init__(self, values: _Optional[_Iterable[str]] = ..., timestamp: _Optional[int] = ..., kind: _Optional[_Union[RegisterKind, str]] = ...) -> None: ...

class SetFlagRequest(_message.Message):
    __slots__ = ("flag_id", "enabled", "kind")
    FLAG_ID_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    flag_id: str
    enabled: bool
    kind: FlagKind
    def __init__(self, flag_id: _Optional[str] = ..., enabled: _Optional[bool] = ..., kind: _Optional[_Union[FlagKind, str]] = ...) -> None: ...

class SetFlagResponse(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...

class GetFlagRequest(_message.Message):
    __slots__ = ("flag_id",)
    FLAG_ID_FIELD_NUMBER: _ClassVar[int]
    flag_id: str
    def __init__(self, flag_id: _Optional[str] = ...) -> None: ...

class GetFlagResponse(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: bool
    def __init__(self, deleted: _Optional[bool] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("operations",)
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[BatchedOperation]
    def __init__(self, operations: _Optional[_Iterable[_Union[BatchedOperation, _Mapping]]] = ...) -> None: ...

class BatchedOperation(_message.Message):
    __slots__ = ("increment_counter", "decrement_counter", "get_counter", "add_to_set", "remove_from_set", "get_set", "set_register", "get_register", "set_flag", "get_flag", "delete")
    INCREMENT_COUNTER_FIELD_NUMBER: _ClassVar[int]
    DECREMENT_COUNTER_FIELD_NUMBER: _ClassVar[int]
    GET_COUNTER_FIELD_NUMBER: _ClassVar[int]
    ADD_TO_SET_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FROM_SET_FIELD_NUMBER: _ClassVar[int]
    GET_SET_FIELD_NUMBER: _ClassVar[int]
    SET_REGISTER_FIELD_NUMBER: _ClassVar[int]
    GET_REGISTER_FIELD_NUMBER: _ClassVar[int]
    SET_FLAG_FIELD_NUMBER: _ClassVar[int]
    GET_FLAG_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    increment_counter: IncrementCounterRequest
    decrement_counter: DecrementCounterRequest
    get_counter: GetCounterRequest
    add_to_set: AddToSetRequest
    remove_from_set: RemoveFromSetRequest
    get_set: GetSetRequest
    set_register: SetRegisterRequest
    get_register: GetRegisterRequest
    set_flag: SetFlagRequest
    get_flag: GetFlagRequest
    delete: DeleteRequest
    def __init__(self, increment_counter: _Optional[_Union[IncrementCounterRequest, _Mapping]] = ..., decrement_counter: _Optional[_Union[DecrementCounterRequest, _Mapping]] = ..., get_counter: _Optional[_Union[GetCounterRequest, _Mapping]] = ..., add_to_set: _Optional[_Union[AddToSetRequest, _Mapping]] = ..., remove_from_set: _Optional[_Union[RemoveFromSetRequest, _Mapping]] = ..., get_set: _Optional[_Union[GetSetRequest, _Mapping]] = ..., set_register: _Optional[_Union[SetRegisterRequest, _Mapping]] = ..., get_register: _Optional[_Union[GetRegisterRequest, _Mapping]] = ..., set_flag: _Optional[_Union[SetFlagRequest, _Mapping]] = ..., get_flag: _Optional[_Union[GetFlagRequest, _Mapping]] = ..., delete: _Optional[_Union[DeleteRequest, _Mapping]] = ...) -> None: ...

class BatchResponse(_message.Message):
    __slots__ = ("results", "error")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchedResult]
    error: Error
    def __init__(self, results: _Optional[_Iterable[_Union[BatchedResult, _Mapping]]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class BatchedResult(_message.Message):
    __slots__ = ("increment_counter", "decrement_counter", "get_counter", "add_to_set", "remove_from_set", "get_set", "set_register", "get_register", "set_flag", "get_flag", "delete", "error")
    INCREMENT_COUNTER_FIELD_NUMBER: _ClassVar[int]
    DECREMENT_COUNTER_FIELD_NUMBER: _ClassVar[int]
    GET_COUNTER_FIELD_NUMBER: _ClassVar[int]
    ADD_TO_SET_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FROM_SET_FIELD_NUMBER: _ClassVar[int]
    GET_SET_FIELD_NUMBER: _ClassVar[int]
    SET_REGISTER_FIELD_NUMBER: _ClassVar[int]
    GET_REGISTER_FIELD_NUMBER: _ClassVar[int]
    SET_FLAG_FIELD_NUMBER: _ClassVar[int]
    GET_FLAG_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    increment_counter: IncrementCounterResponse
    decrement_counter: DecrementCounterResponse
    get_counter: GetCounterResponse
    add_to_set: AddToSetResponse
    remove_from_set: RemoveFromSetResponse
    get_set: GetSetResponse
    set_register: SetRegisterResponse
    get_register: GetRegisterResponse
    set_flag: SetFlagResponse
    get_flag: GetFlagResponse
    delete: DeleteResponse
    error: Error
    def __init__(self, increment_counter: _Optional[_Union[IncrementCounterResponse, _Mapping]] = ..., decrement_counter: _Optional[_Union[DecrementCounterResponse, _Mapping]] = ..., get_counter: _Optional[_Union[GetCounterResponse, _Mapping]] = ..., add_to_set: _Optional[_Union[AddToSetResponse, _Mapping]] = ..., remove_from_set: _Optional[_Union[RemoveFromSetResponse, _Mapping]] = ..., get_set: _Optional[_Union[GetSetResponse, _Mapping]] = ..., set_register: _Optional[_Union[SetRegisterResponse, _Mapping]] = ..., get_register: _Optional[_Union[GetRegisterResponse, _Mapping]] = ..., set_flag: _Optional[_Union[SetFlagResponse, _Mapping]] = ..., get_flag: _Optional[_Union[GetFlagResponse, _Mapping]] = ..., delete: _Optional[_Union[DeleteResponse, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class MergeRequest(_message.Message):
    __slots__ = ("patch",)
    PATCH_FIELD_NUMBER: _ClassVar[int]
    patch: bytes
    def __init__(self, patch: _Optional[bytes] = ...) -> None: ...

class MergeResponse(_message.Message):
    __slots__ = ("new_items", "clock")
    class ClockEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NEW_ITEMS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    new_items: int
    clock: _containers.ScalarMap[str, int]
    def __init__(self, new_items: _Optional[int] = ..., clock: _Optional[_Mapping[str, int]] = ...) -> None: ...

class GetPatchRequest(_message.Message):
    __slots__ = ("since",)
    class SinceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SINCE_FIELD_NUMBER: _ClassVar[int]
    since: _containers.ScalarMap[str, int]
    def __init__(self, since: _Optional[_Mapping[str, int]] = ...) -> None: ...

class GetPatchResponse(_message.Message):
    __slots__ = ("patch",)
    PATCH_FIELD_NUMBER: _ClassVar[int]
    patch: bytes
    def __init__(self, patch: _Optional[bytes] = ...) -> None: ...

class SyncAllRequest(_message.Message):
    __slots__ = ("peers",)
    PEERS_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, peers: _Optional[_Iterable[str]] = ...) -> None: ...

class SyncAllResponse(_message.Message):
    __slots__ = ("peers_contacted", "peers_failed", "messages_sent", "new_items", "clock")
    class ClockEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PEERS_CONTACTED_FIELD_NUMBER: _ClassVar[int]
    PEERS_FAILED_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_SENT_FIELD_NUMBER: _ClassVar[int]
    NEW_ITEMS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    peers_contacted: _containers.RepeatedScalarFieldContainer[str]
    peers_failed: _containers.RepeatedScalarFieldContainer[str]
    messages_sent: int
    new_items: int
    clock: _containers.ScalarMap[str, int]
    def __init__(self, peers_contacted: _Optional[_Iterable[str]] = ..., peers_failed: _Optional[_Iterable[str]] = ..., messages_sent: _Optional[int] = ..., new_items: _Optional[int] = ..., clock: _Optional[_Mapping[str, int]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("node", "replica", "clock", "stable", "digest", "links", "metrics", "trouble")
    class ClockEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class StableEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LinksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    node: str
    replica: str
    clock: _containers.ScalarMap[str, int]
    stable: _containers.ScalarMap[str, int]
    digest: str
    links: _containers.ScalarMap[str, str]
    metrics: _containers.ScalarMap[str, int]
    trouble: str
    def __init__(self, node: _Optional[str] = ..., replica: _Optional[str] = ..., clock: _Optional[_Mapping[str, int]] = ..., stable: _Optional[_Mapping[str, int]] = ..., digest: _Optional[str] = ..., links: _Optional[_Mapping[str, str]] = ..., metrics: _Optional[_Mapping[str, int]] = ..., trouble: _Optional[str] = ...) -> None: ...

class PartitionRequest(_message.Message):
    __slots__ = ("peers",)
    PEERS_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, peers: _Optional[_Iterable[str]] = ...) -> None: ...

class PartitionResponse(_message.Message):
    __slots__ = ("links",)
    class LinksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LINKS_FIELD_NUMBER: _ClassVar[int]
    links: _containers.ScalarMap[str, str]
    def __init__(self, links: _Optional[_Mapping[str, str]] = ...) -> None: ...

class HealRequest(_message.Message):
    __slots__ = ("peers",)
    PEERS_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, peers: _Optional[_Iterable[str]] = ...) -> None: ...

class HealResponse(_message.Message):
    __slots__ = ("links",)
    class LinksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LINKS_FIELD_NUMBER: _ClassVar[int]
    links: _containers.ScalarMap[str, str]
    def __init__(self, links: _Optional[_Mapping[str, str]] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("type", "value_json", "siblings_json", "conflicts")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    SIBLINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    type: str
    value_json: bytes
    siblings_json: bytes
    conflicts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, type: _Optional[str] = ..., value_json: _Optional[bytes] = ..., siblings_json: _Optional[bytes] = ..., conflicts: _Optional[_Iterable[str]] = ...) -> None: ...

class AddNodeRequest(_message.Message):
    __slots__ = ("node", "grpc", "redis")
    NODE_FIELD_NUMBER: _ClassVar[int]
    GRPC_FIELD_NUMBER: _ClassVar[int]
    REDIS_FIELD_NUMBER: _ClassVar[int]
    node: str
    grpc: str
    redis: str
    def __init__(self, node: _Optional[str] = ..., grpc: _Optional[str] = ..., redis: _Optional[str] = ...) -> None: ...

class AddNodeResponse(_message.Message):
    __slots__ = ("replica",)
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    replica: str
    def __init__(self, replica: _Optional[str] = ...) -> None: ...

class RemoveNodeRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class RemoveNodeResponse(_message.Message):
    __slots__ = ("replica",)
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    replica: str
    def __init__(self, replica: _Optional[str] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("replica", "node", "standing", "grpc", "redis", "reason", "left_ms", "final", "seen")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    GRPC_FIELD_NUMBER: _ClassVar[int]
    REDIS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LEFT_MS_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    replica: str
    node: str
    standing: Standing
    grpc: str
    redis: str
    reason: str
    left_ms: int
    final: int
    seen: int
    def __init__(self, replica: _Optional[str] = ..., node: _Optional[str] = ..., standing: _Optional[_Union[Standing, str]] = ..., grpc: _Optional[str] = ..., redis: _Optional[str] = ..., reason: _Optional[str] = ..., left_ms: _Optional[int] = ..., final: _Optional[int] = ..., seen: _Optional[int] = ...) -> None: ...

class MembersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MembersResponse(_message.Message):
    __slots__ = ("members",)
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class BackupRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupResponse(_message.Message):
    __slots__ = ("lines", "done", "of", "ended")
    LINES_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    lines: bytes
    done: int
    of: int
    ended: bool
    def __init__(self, lines: _Optional[bytes] = ..., done: _Optional[int] = ..., of: _Optional[int] = ..., ended: _Optional[bool] = ...) -> None: ...
