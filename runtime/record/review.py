"""Check the recorder's settings against the topics that it reads, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from cardan.runtime.conditions.errors import ConditionError
from cardan.runtime.conditions.kinds import Types, check_condition
from cardan.runtime.conditions.parse import condition_of
from cardan.runtime.errors import near_names
from cardan.runtime.findings import Objection
from cardan.runtime.manifest import NAME
from cardan.runtime.messages import Message
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.record.policy import TopicPolicy, policy_of
from cardan.runtime.record.settings import RecorderConfig
from cardan.runtime.record.triggers import TriggerConfig
from cardan.runtime.registry import load_message_type


def types_of(plan: Plan, topics: Iterable[str]) -> dict[str, type[Message]]:
    """Topic -> message type."""
    outputs = plan.topics()
    return {topic: load_message_type(outputs[topic].type, plan.node(_node_of(topic)).sys_path) for topic in topics}


def review(plan: Plan, node: NodePlan) -> list[Objection]:
    """What is wrong with policies and triggers."""
    config = msgspec.convert(node.config, RecorderConfig)
    topics = [topic for item in node.inputs for topic in item.topics]
    types = types_of(plan, topics)
    found = [item for name, policy in config.topics.items() for item in _policy(node, name, policy, config, topics)]
    for name, trigger in config.triggers.items():
        found += _trigger(node, name, trigger, types, config)
    if config.own_clip_quota_bytes > config.quota_bytes:
        path = ("nodes", node.name, "config", "clip_quota_bytes")
        found.append(Objection(path, "clips may take more than all recordings", "make it smaller than quota_bytes"))
    return found


def _policy(
    node: NodePlan, name: str, policy: TopicPolicy, config: RecorderConfig, topics: list[str]
) -> list[Objection]:
    path = ("nodes", node.name, "config", "topics", name)
    if not any(topic == name or fnmatchcase(topic, name) for topic in topics):
        return [Objection(path, f'the recorder reads no topic "{name}"', near_names(name, topics))]
    if policy.keep == "trigger" and not config.triggers:
        remedy = 'add a table config.triggers.NAME, or write keep = "none"'
        return [Objection((*path, "keep"), "there is no trigger that could keep it", remedy)]
    if policy.rate_hz is not None and policy.keep != "all":
        what = f'keep = "{policy.keep}" leaves nothing to thin out'
        return [Objection((*path, "rate_hz"), what, "remove one of them")]
    return []


def _trigger(
    node: NodePlan, name: str, trigger: TriggerConfig, types: Types, config: RecorderConfig
) -> list[Objection]:
    path = ("nodes", node.name, "config", "triggers", name)
    if not NAME.fullmatch(name):
        remedy = "use 1 to 32 lower-case letters, digits, _ and -, a letter first"
        return [Objection(path, f'"{name}" cannot be the name of a trigger', remedy)]
    try:
        check_condition(condition_of(trigger.when), types)
    except ConditionError as error:
        return [Objection((*path, "when"), error.message, error.hint or "correct the condition")]
    if trigger.span_before_s + trigger.span_after_s <= 0:
        return [Objection(path, "the clip has no length", "set before_s or after_s")]
    if all(policy_of(topic, config.topics).keep == "none" for topic in types):
        return [Objection(path, "nothing is kept that the clip could hold", 'write keep = "trigger" for a topic')]
    return []


def _node_of(topic: str) -> str:
    return topic.partition("/")[0]
