package import Account
package import NIOCore
package import SkerryModel
package import SkerryNode

/// Who says whom a token stands for. `AccountService` does; a test may.
package protocol TokenAuthenticating: Sendable {
    func authenticate(
        token: String, address: AddressKey, loop: (any EventLoop)?, completion: @escaping @Sendable (Result<Caller, SkerryError>) -> Void)
}

extension AccountService: TokenAuthenticating {}

/// The chat's door: what all chat connections share.
package struct ChatListener: Sendable {
    package static let path = "/v1/ws"
    package static let subprotocol = "skerry.v1.json"

    let node: Node
    let chat: ChatService
    let accounts: any TokenAuthenticating
    private let keepers: ConnectionKeepers
    private let isSister: @Sendable (String) -> Bool

    /// - Parameters:
    ///   - keepers: of the loops that accept connections; each of them has a shard of `node`.
    ///   - isSister: whether pages of that origin are those of another box of the federation. A box sends its clients to another one together with
    ///     the page they have open.
    package init(
        node: Node, chat: ChatService, accounts: any TokenAuthenticating, keepers: ConnectionKeepers,
        isSister: @escaping @Sendable (_ origin: String) -> Bool = { _ in false }
    ) {
        self.node = node
        self.chat = chat
        self.accounts = accounts
        self.keepers = keepers
        self.isSister = isSister
    }

    /// - Parameter compresses: agree to permessage-deflate, without context takeover: nothing is kept between messages.
    package func route(compresses: Bool = false) -> WebSocketRoute {
        let deflate = compresses ? DeflateAgreement.Wish(keepsContext: false) : nil
        return WebSocketRoute(path: Self.path, subprotocols: [Self.subprotocol], origins: .federationPages(isSister: self.isSister), deflate: deflate) {
            channel, opened in
            let connection = ChatConnection(
                listener: self, address: AddressKey(opened.address ?? channel.remoteAddress),
                addressText: (opened.address ?? channel.remoteAddress).addressText, client: opened.userAgent)
            // Until `hello` it is a stranger's.
            let limits = self.node.limits
            let bounds = WebSocketBounds(
                messageBytesMax: min(limits.strangerBytesMax, limits.frameBytesMax), unreadBytesMax: limits.outboxEphemeralBytesMax)
            return [
                WebSocketConnection(
                    keeper: self.keepers[channel.eventLoop], application: connection, metrics: self.node.metrics, bounds: bounds, deflate: opened.deflate)
            ]
        }
    }
}
