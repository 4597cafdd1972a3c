"""What the black-box tests are written with: the real `skerry` binary, and real clients of every protocol it speaks."""

from .box import Box, Person, free_address, free_port
from .chat import Chat, ChatClosed, ChatRefused
from .mqtt import MQTTClient, Subscriber, mosquitto_pub
from .rest import REST
from .wait import eventually

__all__ = ["Box", "Chat", "ChatClosed", "ChatRefused", "MQTTClient", "Person", "REST", "Subscriber", "eventually", "free_address", "free_port", "mosquitto_pub"]
