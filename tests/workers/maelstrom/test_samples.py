"""The course's sample cases, byte for byte.

Where a document lists fewer lines than there are requests, `test_workloads` checks the other replies.
"""

from __future__ import annotations

import pytest

from tests.workers.maelstrom.nodes import INIT, INIT_OF_3, INIT_OK, outputs

SAMPLES = {
    "g-set, add and read": (
        "course-g-set",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"add","msg_id":2,"element":"x"}}',
            '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":3}}',
        ],
        [
            INIT_OK,
            '{"src": "n1", "dest": "c1", "body": {"type": "add_ok", "in_reply_to": 2, "msg_id": 1}}',
            (
                '{"src": "n1", "dest": "c1", "body": {"type": "read_ok", "elements": ["x"], "in_reply_to": 3, '
                '"msg_id": 2}}'
            ),
        ],
    ),
    "g-set, merge adds new elements": (
        "course-g-set",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"add","msg_id":2,"element":"a"}}',
            '{"src":"n2","dest":"n1","body":{"type":"merge","msg_id":3,"elements":["a","b","c"]}}',
            '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":4}}',
        ],
        [
            INIT_OK,
            '{"src": "n1", "dest": "c1", "body": {"type": "add_ok", "in_reply_to": 2, "msg_id": 1}}',
            '{"src": "n1", "dest": "n2", "body": {"type": "merge_ok", "new_count": 2, "in_reply_to": 3, "msg_id": 2}}',
            (
                '{"src": "n1", "dest": "c1", "body": {"type": "read_ok", "elements": ["a", "b", "c"], '
                '"in_reply_to": 4, "msg_id": 3}}'
            ),
        ],
    ),
    "or-set, add and read element": (
        "or-set",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"or_set_add","msg_id":2,"element":"apple"}}',
            '{"src":"c1","dest":"n1","body":{"type":"or_set_read","msg_id":3}}',
        ],
        [INIT_OK],
    ),
    "or-set, remove deletes element": (
        "or-set",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"or_set_add","msg_id":2,"element":"banana"}}',
            '{"src":"c1","dest":"n1","body":{"type":"or_set_remove","msg_id":3,"element":"banana"}}',
            '{"src":"c1","dest":"n1","body":{"type":"or_set_read","msg_id":4}}',
        ],
        [INIT_OK],
    ),
    "gossip, round with no messages sends nothing": (
        "gossip",
        [INIT_OF_3, '{"src":"c1","dest":"n1","body":{"type":"gossip_round","msg_id":2}}'],
        [INIT_OK],
    ),
    "gossip, sync merges new messages": (
        "gossip",
        [
            INIT,
            '{"src":"c1","dest":"n1","body":{"type":"broadcast","msg_id":2,"message":10}}',
            '{"src":"n2","dest":"n1","body":{"type":"gossip_sync","msg_id":3,"messages":[10,20,30]}}',
            '{"src":"c1","dest":"n1","body":{"type":"read","msg_id":4}}',
        ],
        [
            INIT_OK,
            '{"src": "n1", "dest": "c1", "body": {"type": "broadcast_ok", "in_reply_to": 2, "msg_id": 1}}',
            (
                '{"src": "n1", "dest": "n2", "body": {"type": "gossip_sync_ok", "new_count": 2, "in_reply_to": 3, '
                '"msg_id": 2}}'
            ),
            (
                '{"src": "n1", "dest": "c1", "body": {"type": "read_ok", "messages": [10, 20, 30], "in_reply_to": 4, '
                '"msg_id": 3}}'
            ),
        ],
    ),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_is_answered_as_written(sample):
    workload, requests, expected = SAMPLES[sample]
    said = outputs(workload, requests)
    assert said[: len(expected)] == expected
    assert len(said) == len(requests)
