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
        switch random.below(3) {
        case 0: self.rubbish(victim, &random)
        case 1: self.disguise(victim, &random)
        default: self.rubbish(victim, &random)
        }
    }

    /// Bytes without a meaning, on any channel of the engine.
    private func rubbish(_ victim: SimBox, _ random: inout SimRandom) {
        let channel = [LinkChannel.control, .message, .digest, .request, .response][random.below(5)]
        var bytes: [UInt8] = []
        for _ in 0..<random.below(80) { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
        self.world.note(0x61, "\(self.box.name) sends rubbish to \(victim.name)")
        self.world.network.send(self.box, to: victim.id, channel, bytes)
    }

    /// Its own digest as somebody else's.
    private func disguise(_ victim: SimBox, _ random: inout SimRandom) {}
}
