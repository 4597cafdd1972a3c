"""What must hold at the end: nothing lost that was replicated, nothing twice, one order everywhere, cursors that never skip."""

import hashlib
import time

from harness import Chat


def history(box, token: str, conversation: str) -> list[dict]:
    with Chat(box.ws_url) as chat:
        chat.hello(token)
        return chat.history(conversation)


def order_hash(messages: list[dict]) -> str:
    digest = hashlib.sha256()
    for message in messages:
        digest.update(f"{message['mid']} {message['order']}\n".encode())
    return digest.hexdigest()[:16]


def converged(boxes, token: str, conversation: str, seconds: float) -> tuple[dict[str, list[dict]], str]:
    """Waits until all boxes tell the same history; what each tells, and in words what differs at the end."""
    deadline = time.monotonic() + seconds
    while True:
        histories = {}
        trouble = ""
        for box in boxes:
            try:
                histories[box.name] = history(box, token, conversation)
            except Exception as error:  # noqa: BLE001
                trouble = f"{box.name} does not tell: {error!r}"
        hashes = {name: order_hash(messages) for name, messages in histories.items()}
        if not trouble and len(set(hashes.values())) == 1:
            return histories, ""
        if time.monotonic() > deadline:
            return histories, trouble or f"not the same after {seconds:g} s: {hashes}, {({n: len(m) for n, m in histories.items()})}"
        time.sleep(0.3)


def problems(writers, histories: dict[str, list[dict]]) -> list[str]:
    found: list[str] = []
    for name, messages in histories.items():
        mids = [message["mid"] for message in messages]
        if len(mids) != len(set(mids)):
            found.append(f"{name}: history tells {len(mids) - len(set(mids))} messages twice")
        pairs = [(message["from"], message.get("text")) for message in messages]
        if len(pairs) != len(set(pairs)):
            found.append(f"{name}: {len(pairs) - len(set(pairs))} texts are there twice under different ids")
        if messages != sorted(messages, key=lambda message: message["order"]):
            found.append(f"{name}: history is not in order")
    everywhere = set.intersection(*({message["mid"] for message in messages} for messages in histories.values())) if histories else set()
    anywhere = set().union(*({message["mid"] for message in messages} for messages in histories.values()))
    for writer in writers:
        found += [f"writer {writer.index}: {problem}" for problem in writer.problems[:5]]
        acked = {ack["mid"] for ack in writer.acked.values()}
        lost = writer.replicated - everywhere
        if lost:
            found.append(f"writer {writer.index}: {len(lost)} of {len(writer.replicated)} replicated messages are not on all boxes: {sorted(lost)[:3]}")
        skipped = everywhere - set(writer.shown)
        if skipped:
            found.append(f"writer {writer.index}: was never shown {len(skipped)} of {len(everywhere)} messages: {sorted(skipped)[:3]}")
        invented = {mid for mid in writer.shown if mid not in anywhere}
        if invented & acked & writer.replicated:
            found.append(f"writer {writer.index}: {len(invented)} messages that were shown are nowhere")
    return found


def lost_unreplicated(writers, histories) -> int:
    """Messages that were stored and never replicated, and are gone: only a lost or restored disk may do that."""
    everywhere = set.intersection(*({message["mid"] for message in messages} for messages in histories.values()))
    return sum(len({ack["mid"] for ack in writer.acked.values()} - everywhere) for writer in writers)
