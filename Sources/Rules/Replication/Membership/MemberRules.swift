import Crypto
package import SkerryModel

/// What a row of the member list may be, and which of two counts (FEDERATION.md §3).
package enum MemberRules {
    /// DER SubjectPublicKeyInfo of a P-256 key.
    package static let publicKeyBytes = 91
    package static let logKeyBytes = 32
    package static let reasonBytesMax = 256
    /// Epochs in the cut of a removed box: an entry holds no more. Above, those with the most entries are named; the others do not count.
    package static let cutMax = 800

    /// Nil: the row is well formed. Whether the CA signed it is another question.
    package static func fault(_ member: MemberEntry) -> String? {
        if member.publicKey.count != Self.publicKeyBytes { return "publicKey" }
        if member.logKey.count != Self.logKeyBytes { return "logKey" }
        if member.name.utf8.count > MemberEntry.nameBytesMax { return "name" }
        if member.endpoints.count > MemberEntry.endpointsMax { return "endpoints" }
        if member.endpoints.contains(where: { $0.utf8.count > MemberEntry.endpointBytesMax }) { return "endpoints" }
        if member.reason.utf8.count > Self.reasonBytesMax { return "reason" }
        if member.cut.count > Self.cutMax || member.cut.keys.contains(where: { $0.origin != member.box }) { return "cut" }
        if member.standing == .active, !member.cut.isEmpty { return "cut" }
        return nil
    }

    /// The id of the box that has this key (FEDERATION.md §2.1).
    package static func box(ofPublicKey publicKey: [UInt8]) -> BoxID? { BoxID(Array(SHA256.hash(data: publicKey))) }

    /// The row that counts of two about one box. `removed` is for ever, whatever the versions say; else the greater version; of two rows of one version, which
    /// only an issuer that was restored from a backup can have made, the greater signature, so that every box takes the same.
    package static func newer(_ left: MemberEntry, _ right: MemberEntry) -> MemberEntry {
        if left.standing != right.standing { return left.standing == .removed ? left : right }
        if left.version != right.version { return left.version > right.version ? left : right }
        return right.signature.lexicographicallyPrecedes(left.signature) ? left : right
    }

    /// Whether a row that came in takes the place of the one that is there.
    package static func replaces(_ row: MemberEntry, _ stored: MemberEntry?) -> Bool {
        guard let stored else { return true }
        return row != stored && Self.newer(row, stored) == row
    }

    /// The version of the next row about a box: above every one that was, and near the time, so that an issuer restored from a backup does not fall behind.
    package static func nextVersion(after stored: MemberEntry?, milliseconds: UInt64) -> UInt64 { max((stored?.version ?? 0) &+ 1, milliseconds) }

    /// How far the logs of a removed box count: what is held of them, as much of it as a row can name.
    package static func cut(_ held: [LogEpoch: UInt64]) -> [LogEpoch: UInt64] {
        guard held.count > Self.cutMax else { return held }
        let most = held.sorted { ($0.value, $0.key.epoch) > ($1.value, $1.key.epoch) }.prefix(Self.cutMax)
        return Dictionary(uniqueKeysWithValues: most.map { ($0.key, $0.value) })
    }

    /// A name that fits a row: cut at a character, without control characters.
    package static func name(_ text: String) -> String {
        var name = ""
        for character in text where !character.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            guard name.utf8.count + character.utf8.count <= MemberEntry.nameBytesMax else { break }
            name.append(character)
        }
        return name
    }
}
