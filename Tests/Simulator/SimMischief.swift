import Replication
import SkerryModel

/// What a member does that has fallen into the wrong hands: every message is one that a box must refuse.
struct SimMischief {
    let world: SimWorld
    let box: SimBox

    init(_ world: SimWorld, _ box: SimBox) {
        self.world = world
        self.box = box
    }

    func happen(_ random: inout SimRandom) {
        guard let victim = random.pick(self.world.boxes.filter { $0.isUp && $0.id != self.box.id }) else { return }
        switch random.below(7) {
        case 0: self.sendRubbish(victim, &random)
        case 1: self.sendCutShort(victim, &random)
        case 2: self.sendForeignDigest(victim, &random)
        case 3: self.relayAsOwn(victim, &random)
        case 4: self.inventEntry(victim, &random)
        case 5: self.sendOfAnotherFederation(victim)
        default:
            self.world.note(0x62, "\(self.box.name) alters what it sends")
            self.box.altersUntil = self.world.now + random.time(500, 3_000)
        }
    }

    /// Bytes without a meaning, on any channel of the engine.
    private func sendRubbish(_ victim: SimBox, _ random: inout SimRandom) {
        let channel = [LinkChannel.control, .message, .digest, .request, .response][random.below(5)]
        var bytes: [UInt8] = []
        for _ in 0..<random.below(80) { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
        self.world.network.send(self.box, to: victim.id, channel, bytes, forged: "rubbish")
    }

    private func sendCutShort(_ victim: SimBox, _ random: inout SimRandom) {
        guard let (batch, channel) = self.batch(of: self.box, &random) else { return }
        let bytes = BatchCodec.encode(batch, of: self.world.federation)
        self.world.network.send(self.box, to: victim.id, channel, Array(bytes.prefix(random.below(bytes.count))), forged: "half a batch")
    }

    /// As if a third box said that it holds everything of the victim.
    private func sendForeignDigest(_ victim: SimBox, _ random: inout SimRandom) {
        guard let third = random.pick(self.world.boxes.filter { $0.id != self.box.id && $0.id != victim.id }) else { return }
        var digest = Digest(federation: self.world.federation, isPartial: true, groups: [], quarantine: nil)
        for stream in Stream.allCases {
            guard let log = victim.epochs[stream] else { continue }
            digest.groups.append(
                DigestGroup(LogGroup(victim.id, stream), listed: [HeldEpoch(epoch: log.id.epoch, head: victim.disk.log(log.index).head)]))
        }
        self.world.network.send(
            self.box, to: victim.id, .digest, DigestCodec.encode(digest), claimed: third.id, forged: "a digest in the name of \(third.name)")
    }

    /// A genuine batch of a third box, under its name, over the wrong link.
    private func relayAsOwn(_ victim: SimBox, _ random: inout SimRandom) {
        guard let third = random.pick(self.world.boxes.filter { $0.id != self.box.id && $0.id != victim.id }),
            let (batch, channel) = self.batch(of: third, &random)
        else { return }
        self.world.network.send(
            self.box, to: victim.id, channel, BatchCodec.encode(batch, of: self.world.federation), claimed: random.chance(500) ? third.id : nil,
            forged: "a batch in the name of \(third.name)")
    }

    /// What was never written, signed with the wrong key.
    private func inventEntry(_ victim: SimBox, _ random: inout SimRandom) {
        guard let third = random.pick(self.world.boxes.filter { $0.id != self.box.id }), let log = third.epochs[.message] else { return }
        self.world.entryCount += 1
        let bytes = SimEntryCodec.encode(.message(id: 0), hlc: victim.hybrid.last, number: self.world.entryCount, padding: 0)
        var batch = Batch(log: log.id, firstSeq: victim.disk.log(log.index).head + 1, items: [.entry(bytes)])
        batch.signature = SimSignature.make(self.box.logKey, BatchCodec.signedBytes(batch, of: self.world.federation))
        self.world.network.send(
            self.box, to: victim.id, .message, BatchCodec.encode(batch, of: self.world.federation), claimed: random.chance(500) ? third.id : nil,
            forged: "an entry that \(third.name) never wrote")
    }

    private func sendOfAnotherFederation(_ victim: SimBox) {
        guard let other = FederationID([UInt8](repeating: 0xaa, count: FederationID.byteCount)) else { return }
        let digest = Digest(federation: other, isPartial: true, groups: [], quarantine: nil)
        self.world.network.send(self.box, to: victim.id, .digest, DigestCodec.encode(digest), forged: "a digest of another federation")
    }

    /// The next entries of `box` that the victim may lack, rightly signed.
    private func batch(of box: SimBox, _ random: inout SimRandom) -> (Batch, LinkChannel)? {
        let stream: Stream = random.chance(500) ? .control : .message
        guard let log = box.epochs[stream], let last = log.entries.last else { return nil }
        let first = UInt64(random.between(1, Int(last.seq)))
        var batch = Batch(log: log.id, firstSeq: first, items: log.entries.dropFirst(Int(first) - 1).prefix(20).map { .entry($0.bytes) })
        batch.signature = SimSignature.make(box.logKey, BatchCodec.signedBytes(batch, of: self.world.federation))
        return (batch, stream == .control ? .control : .message)
    }

    /// Changes a byte of an entry on its way.
    static func alter(_ message: inout LinkMessage, _ random: inout SimRandom) {
        guard message.channel == .response || message.channel == .control || message.channel == .message else { return }
        let mark = SimEntryCodec.markStart
        guard message.payload.count > 16 else { return }
        var places: [Int] = []
        for index in 0..<(message.payload.count - 12) where message.payload[index] == mark[0] && Array(message.payload[index..<(index + 4)]) == mark {
            places.append(index)
        }
        guard let place = random.pick(places) else { return }
        message.payload[place + 11] ^= 0x40
    }
}
