package import SkerryModel

/// The body of a member entry: `1:box 2:standing 3:name 4:public key 5:log key 6:endpoint… 7:issuer 8:version(fix64) 9:cut 10:reason 15:signature`.
package enum MemberCodec {
    /// What the CA signs: the body without its signature, behind a name of its own.
    package static func signedBytes(_ member: MemberEntry) -> [UInt8] {
        var writer = FieldWriter(reserving: 320)
        Self.writeFields(member, to: &writer)
        return Array("fed-member-1".utf8) + writer.bytes
    }

    static func write(_ member: MemberEntry, to writer: inout FieldWriter) {
        Self.writeFields(member, to: &writer)
        writer.bytes(15, member.signature)
    }

    private static func writeFields(_ member: MemberEntry, to writer: inout FieldWriter) {
        writer.bytes(1, member.box.bytes)
        writer.varint(2, UInt64(member.standing.rawValue))
        writer.text(3, member.name)
        writer.bytes(4, member.publicKey)
        writer.bytes(5, member.logKey)
        for endpoint in member.endpoints { writer.text(6, endpoint) }
        writer.flag(7, member.isIssuer)
        writer.fixed64(8, member.version)
        var cut: [UInt8] = []
        for (log, seq) in member.cut.sorted(by: { ($0.key.stream.rawValue, $0.key.epoch) < ($1.key.stream.rawValue, $1.key.epoch) }) {
            cut.append(log.stream.rawValue)
            cut.appendBigEndian(log.epoch)
            cut.appendBigEndian(seq)
        }
        if !cut.isEmpty { writer.bytes(9, cut) }
        writer.text(10, member.reason)
    }

    package static func encode(_ member: MemberEntry) -> [UInt8] {
        var writer = FieldWriter(reserving: 320)
        Self.write(member, to: &writer)
        return writer.bytes
    }

    package static func decode(_ bytes: ArraySlice<UInt8>) throws(EntryDecodeError) -> MemberEntry {
        let fields = try FieldMap(bytes)
        guard let box = BoxID(try fields.requiredBytes(1)), let standing = BoxStanding(rawValue: try fields.required8(2)) else {
            throw EntryDecodeError(.badField, at: 2)
        }
        var member = MemberEntry(
            box: box, standing: standing, name: try fields.text(3) ?? "", publicKey: try fields.requiredBytes(4), logKey: try fields.requiredBytes(5),
            endpoints: [], isIssuer: fields.flag(7), version: try fields.required(8), reason: try fields.text(10) ?? "",
            signature: fields.slice(15).map { Array($0) } ?? [])
        var reader = FieldReader(bytes)
        while let (field, value) = try reader.next() {
            guard case .bytes(let slice) = value else { continue }
            if field == 6 {
                guard member.endpoints.count < MemberEntry.endpointsMax, let text = String(validating: slice, as: UTF8.self) else {
                    throw EntryDecodeError(.badField, at: 6)
                }
                member.endpoints.append(text)
            } else if field == 9 {
                member.cut = try Self.cut(slice, of: box)
            }
        }
        return member
    }

    /// Seventeen bytes for each epoch: `stream ‖ epoch ‖ seq`.
    private static func cut(_ slice: ArraySlice<UInt8>, of box: BoxID) throws(EntryDecodeError) -> [LogEpoch: UInt64] {
        guard slice.count % 17 == 0, slice.count / 17 <= MemberRules.cutMax else { throw EntryDecodeError(.badField, at: 9) }
        var cut: [LogEpoch: UInt64] = [:]
        var rest = slice
        while let code = rest.first {
            let record = Array(rest.prefix(17))
            guard let stream = Stream(rawValue: code), let epoch = record.bigEndian(at: 1), let seq = record.bigEndian(at: 9) else {
                throw EntryDecodeError(.badField, at: 9)
            }
            cut[LogEpoch(origin: box, stream: stream, epoch: epoch)] = seq
            rest = rest.dropFirst(17)
        }
        return cut
    }
}
