import ChatCodec
import NIOCore

/// The AsyncAPI 3 document of the WebSocket and MQTT interfaces.
struct AsyncAPIDocument {
    let version: String

    func make() -> ByteBuffer {
        JSONWriter.make { json in
            json.field("asyncapi", "3.0.0")
            json.object("info") {
                $0.field("title", "Skerry")
                $0.field("version", self.version)
            }
        }
    }
}
