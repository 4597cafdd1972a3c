/// What a message says, by kind (PRODUCT.md M1). Media kinds are part of the model from the start; the store for their bytes comes later.
package enum MessageContent: Sendable, Hashable {
    case text(String)
    case emoji(String)
    case location(latitude: Double, longitude: Double, label: String?, accuracyMeters: Double?)
    case custom(type: String, data: String)
    case media(MediaContent)

    package var kind: MessageKind {
        switch self {
        case .text: .text
        case .emoji: .emoji
        case .location: .location
        case .custom: .custom
        case .media(let media): media.kind
        }
    }
}

package enum MessageKind: UInt8, Sendable, Hashable, CaseIterable {
    case text = 1
    case emoji = 2
    case picture = 3
    case voice = 4
    case video = 5
    case file = 6
    case location = 7
    case custom = 8

    package var text: String {
        switch self {
        case .text: "text"
        case .emoji: "emoji"
        case .picture: "picture"
        case .voice: "voice"
        case .video: "video"
        case .file: "file"
        case .location: "location"
        case .custom: "custom"
        }
    }

    package init?(text: some StringProtocol) {
        guard let kind = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = kind
    }
}

/// A reference to bytes in the media store by their SHA-256.
package struct MediaContent: Sendable, Hashable {
    package var kind: MessageKind
    package var hash: [UInt8]
    package var sizeBytes: UInt64
    package var type: String
    package var name: String?
    package var caption: String?
    package var width: UInt32?
    package var height: UInt32?
    package var durationMilliseconds: UInt64?
    /// A small picture inside the message, at most 8 KiB.
    package var preview: [UInt8]?

    package init(
        kind: MessageKind, hash: [UInt8], sizeBytes: UInt64, type: String, name: String? = nil, caption: String? = nil, width: UInt32? = nil,
        height: UInt32? = nil, durationMilliseconds: UInt64? = nil, preview: [UInt8]? = nil
    ) {
        self.kind = kind
        self.hash = hash
        self.sizeBytes = sizeBytes
        self.type = type
        self.name = name
        self.caption = caption
        self.width = width
        self.height = height
        self.durationMilliseconds = durationMilliseconds
        self.preview = preview
    }
}
