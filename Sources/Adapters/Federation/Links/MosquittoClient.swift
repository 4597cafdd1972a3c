import CMosquitto
import Replication
import SkerryModel
import SkerryNode

/// The box's certificate and the authority that it trusts, as libmosquitto's connections use them: shared by all of a bridge.
final class MosquittoTLS: @unchecked Sendable {
    // Unchecked: OpenSSL counts the references of a context by itself, and it is not changed after it was made.
    fileprivate let pointer: OpaquePointer

    init(_ credentials: BoxCredentials) throws(LinkFailure) {
        var error = [CChar](repeating: 0, count: 128)
        guard let pointer = skerry_tls_new(credentials.certificateChain, credentials.privateKey, credentials.authority, &error, error.count) else {
            throw LinkFailure(.tls, Self.text(error))
        }
        self.pointer = pointer
    }

    deinit { skerry_tls_free(self.pointer) }

    private static func text(_ bytes: [CChar]) -> String {
        String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// What a client hears; on the bridge's thread, inside one of the client's calls.
protocol MosquittoClientOwner: AnyObject {
    func admitted()
    func refused(_ reason: UInt8, _ text: String)
    func subscribed(_ reasons: [Int32])
    func received(topic: String, _ payload: [UInt8])
    func published(packetID: Int32, reason: Int32)
    func disconnected(_ reason: UInt8)
}

/// One attempt at a connection by libmosquitto, and the connection if it succeeds. Confined to the bridge's thread.
final class MosquittoClient {
    enum Stage { case dialing, shakingHands, secure }

    private let pointer: OpaquePointer
    private let tls: MosquittoTLS

    init?(_ tls: MosquittoTLS, id: String, peer: [UInt8], limits: LinkLimits, owner: any MosquittoClientOwner) {
        var calls = skerry_link_calls(
            connack: { box, reason, text in
                guard let owner = MosquittoClient.owner(box) else { return }
                if reason == 0 { owner.admitted() } else { owner.refused(UInt8(truncatingIfNeeded: reason), text.map { String(cString: $0) } ?? "") }
            },
            suback: { box, reasons, count in
                MosquittoClient.owner(box)?.subscribed(Array(UnsafeBufferPointer(start: reasons, count: reasons == nil ? 0 : count)))
            },
            message: { box, topic, payload, count in
                guard let topic else { return }
                MosquittoClient.owner(box)?.received(
                    topic: String(cString: topic), Array(UnsafeBufferPointer(start: payload, count: payload == nil ? 0 : count)))
            },
            published: { box, packetID, reason in MosquittoClient.owner(box)?.published(packetID: packetID, reason: reason) },
            disconnected: { box, reason in MosquittoClient.owner(box)?.disconnected(UInt8(truncatingIfNeeded: reason)) })
        let box = OwnerBox(owner)
        let pointer = skerry_link_new(
            tls.pointer, id, peer, peer.count, limits.packetBytesMax, Int32(limits.windowMessagesMax), &calls, Unmanaged.passUnretained(box).toOpaque())
        guard let pointer else { return nil }
        self.pointer = pointer
        self.tls = tls
        self.box = box
    }

    /// What the library keeps a pointer to: lives as long as the client.
    private let box: OwnerBox

    deinit { skerry_link_free(self.pointer) }

    private static func owner(_ box: UnsafeMutableRawPointer?) -> (any MosquittoClientOwner)? {
        box.map { Unmanaged<OwnerBox>.fromOpaque($0).takeUnretainedValue() }?.owner
    }

    // MARK: - Calls; false: the connection has ended

    func setWill(topic: String, _ payload: [UInt8]) -> Bool { skerry_link_will(self.pointer, topic, payload, payload.count) == 0 }

    func dial(_ address: String, port: Int, keepAliveSeconds: Int) -> Bool {
        skerry_link_dial(self.pointer, address, Int32(port), Int32(keepAliveSeconds)) == 0
    }

    func run(isReadable: Bool, isWritable: Bool) -> Bool { skerry_link_run(self.pointer, isReadable ? 1 : 0, isWritable ? 1 : 0) == 0 }
    func secondPassed() -> Bool { skerry_link_second(self.pointer) == 0 }

    func subscribe(_ filters: [String]) -> Bool {
        // The library takes the list for one that may be changed, and leaves it alone.
        let texts = filters.map { text -> UnsafeMutablePointer<CChar>? in
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.utf8.count + 1)
            for (place, byte) in text.utf8.enumerated() { copy[place] = CChar(bitPattern: byte) }
            copy[text.utf8.count] = 0
            return copy
        }
        defer { for text in texts { text?.deallocate() } }
        return skerry_link_subscribe(self.pointer, texts, texts.count) == 0
    }

    /// The packet identifier; nil: the connection has ended.
    func publish(topic: String, _ payload: [UInt8], qos: UInt8, expirySeconds: UInt32?) -> Int32? {
        var packetID: Int32 = 0
        let result = skerry_link_publish(self.pointer, topic, payload, payload.count, Int32(qos), expirySeconds ?? 0, &packetID)
        return result == 0 ? packetID : nil
    }

    /// Good-bye; the connection has ended after it.
    func disconnect(reason: UInt8) { _ = skerry_link_disconnect(self.pointer, Int32(reason)) }

    func pause(_ isPaused: Bool) { skerry_link_pause(self.pointer, isPaused ? 1 : 0) }

    // MARK: - State

    var descriptor: Int32 { skerry_link_descriptor(self.pointer) }
    var wantsWrite: Bool { skerry_link_wants_write(self.pointer) != 0 }
    var hasMore: Bool { skerry_link_has_more(self.pointer) != 0 }
    var trouble: String { String(cString: skerry_link_trouble(self.pointer)) }

    var stage: Stage {
        switch Int(skerry_link_stage(self.pointer)) {
        case Int(SKERRY_LINK_DIALING): .dialing
        case Int(SKERRY_LINK_SHAKING_HANDS): .shakingHands
        default: .secure
        }
    }
}

private final class OwnerBox {
    weak var owner: (any MosquittoClientOwner)?
    init(_ owner: any MosquittoClientOwner) { self.owner = owner }
}
