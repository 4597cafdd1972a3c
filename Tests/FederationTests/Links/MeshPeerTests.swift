import Testing

@testable import Federation

@Suite("which of two links counts")
struct MeshPeerTests {
    private typealias Peer = MeshPeer<Int>

    private static func peer(isDialler: Bool) -> Peer { Peer(isDialler: isDialler, patience: 30_000, now: 0) }

    @Test("the lower box dials at once, the higher after half a minute without a link")
    func dialling() {
        #expect(Self.peer(isDialler: true).wantsDial(now: 0))
        var high = Self.peer(isDialler: false)
        #expect(!high.wantsDial(now: 29_999))
        #expect(high.wantsDial(now: 30_000))
        _ = high.attached(1, now: 40_000)
        #expect(!high.wantsDial(now: 100_000))
        _ = high.detached(1, "lost", now: 100_000)
        #expect(!high.wantsDial(now: 129_999))
        #expect(high.wantsDial(now: 130_000))
        #expect(high.dialledUp(now: 131_000) == [.up])
        #expect(high.wantsDial(now: 131_001))
    }

    @Test("of two links the one that the lower dialled stays, whichever came first")
    func twoLinks() {
        var low = Self.peer(isDialler: true)
        #expect(low.attached(1, now: 0) == [.up])
        #expect(low.dialledUp(now: 1) == [.down("replaced by the link that this box dialled"), .up, .closeAccepted(1, "There is another link.")])
        #expect(low.detached(1, "closed", now: 2).isEmpty)
        #expect(low.current == .dialled)
        #expect(low.attached(2, now: 3) == [.closeAccepted(2, "There is another link.")])
        #expect(low.detached(2, "closed", now: 4).isEmpty)

        var high = Self.peer(isDialler: false)
        #expect(high.dialledUp(now: 0) == [.up])
        let switched: [Peer.Effect] = [.down("replaced by the link that the other box dialled"), .up, .closeDialled("there is another link")]
        #expect(high.attached(1, now: 1) == switched)
        #expect(high.dialledDown("closed", now: 2).isEmpty)
        #expect(high.dialledUp(now: 3) == [.closeDialled("there is another link")])
        #expect(high.current == .accepted)
    }

    @Test("a box that connects again takes the place of its old link")
    func again() {
        var high = Self.peer(isDialler: false)
        _ = high.attached(1, now: 0)
        #expect(high.attached(2, now: 1) == [.down("the box connected again"), .up, .closeAccepted(1, "The box connected again.")])
        #expect(high.detached(1, "taken over", now: 2).isEmpty)
        #expect(high.detached(2, "lost", now: 3) == [.down("lost")])
    }

    @Test("up and down alternate whatever happens in whatever order", arguments: [false, true])
    func alternation(_ isDialler: Bool) {
        let seed = UInt64.random(in: 0 ... .max)
        var state = seed
        func next(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        var peer = Self.peer(isDialler: isDialler)
        var isUp = false
        for number in 0..<10_000 {
            let effects: [Peer.Effect] =
                switch next(4) {
                case 0: peer.isDialledUp ? [] : peer.dialledUp(now: 0)
                case 1: peer.isDialledUp ? peer.dialledDown("lost", now: 0) : []
                case 2: peer.attached(number, now: 0)
                default: peer.accepted.map { peer.detached($0, "lost", now: 0) } ?? []
                }
            for effect in effects {
                switch effect {
                case .up:
                    #expect(!isUp, "seed \(seed), step \(number)")
                    isUp = true
                case .down:
                    #expect(isUp, "seed \(seed), step \(number)")
                    isUp = false
                case .closeDialled, .closeAccepted: break
                }
            }
            #expect(isUp == (peer.current != nil), "seed \(seed), step \(number)")
        }
    }
}
