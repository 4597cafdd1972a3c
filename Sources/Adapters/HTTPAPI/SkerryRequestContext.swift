import Account
package import Hummingbird
import Logging
package import NIOCore
import SkerryNode

/// What the box knows of one HTTP request beside the request: where it came from, and the id under which the log speaks of it.
package struct SkerryRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    package let remoteAddress: SocketAddress?
    /// Answered as `X-Request-Id`, and part of every line the request logs.
    package let requestID: String

    package init(source: ApplicationRequestContextSource) {
        self.coreContext = CoreRequestContextStorage(source: source)
        self.remoteAddress = ClientAddress.proxied ?? source.channel.remoteAddress
        if let id = source.logger[metadataKey: "hb.request.id"] {
            self.requestID = id.description
        } else {
            self.requestID = RequestID().description
            self.logger[metadataKey: "hb.request.id"] = .string(self.requestID)
        }
    }

    /// What the limiters count by.
    var addressKey: AddressKey { AddressKey(self.remoteAddress) }

    /// Whether the request came from the box itself.
    var isLoopback: Bool {
        let bytes = self.remoteAddress?.packedAddress ?? []
        switch bytes.count {
        case 4: return bytes.first == 127
        case 16: return bytes == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] || bytes.prefix(13) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127]
        default: return false
        }
    }
}
