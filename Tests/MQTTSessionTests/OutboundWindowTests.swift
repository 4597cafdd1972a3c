import MQTTSession
import Testing

@Suite("Outbound window")
struct OutboundWindowTests {
    private func window(durable: Bool = false, max: Int = 8) -> OutboundWindow<String> {
        OutboundWindow(entriesMax: max, isDurable: durable)
    }

    private func sendAll(_ window: inout OutboundWindow<String>, receiveMaximum: Int = 100) -> [UInt16] {
        var sent: [UInt16] = []
        while let entry = window.nextToSend(receiveMaximum: receiveMaximum) {
            _ = window.markSent()
            sent.append(entry.packetID)
        }
        return sent
    }

    @Test("packet identifiers count 1, 2, 3 in delivery order and turn after 65535")
    func packetIDs() {
        var window = self.window()
        for text in ["a", "b", "c"] { _ = window.append(text, qos: 1, isRetained: false) }
        #expect(self.sendAll(&window) == [1, 2, 3])
        #expect(OutboundNumbering.packetID(of: 65_535) == 65_535)
        #expect(OutboundNumbering.packetID(of: 65_536) == 1)
        #expect(OutboundNumbering.packetID(of: 131_071) == 1)
    }

    @Test("[MQTT-3.3.4-9] no more than receive maximum are in flight, and each PUBACK lets one go")
    func receiveMaximum() {
        var window = self.window()
        for text in ["a", "b", "c"] { _ = window.append(text, qos: 1, isRetained: false) }
        #expect(self.sendAll(&window, receiveMaximum: 2) == [1, 2])
        #expect(window.puback(2) == .finished(2))
        #expect(self.sendAll(&window, receiveMaximum: 2) == [3])
        #expect(window.puback(1) == .finished(1))
        #expect(window.puback(3) == .finished(3))
        #expect(window.isEmpty)
    }

    @Test("one message that is never acknowledged does not stop what comes behind it", arguments: [false, true])
    func patience(durable: Bool) throws {
        var window = self.window(durable: durable, max: 100)
        var sent: [UInt16] = []
        for n in 1...1_000 as ClosedRange<UInt64> {
            #expect(window.hasRoom)
            #expect(window.append("\(n)", qos: 1, isRetained: false) == n)
            window.committed(through: n)
            for id in self.sendAll(&window, receiveMaximum: 2) {
                sent.append(id)
                if id % 100 != 7 || id > 100 { #expect(window.puback(id) == .finished(UInt64(id))) }
            }
        }
        #expect(sent == (1...1_000).map { UInt16($0) })
        #expect(!window.isBehind && window.inFlight == 1 && window.entries.count <= 40)
        #expect(window.puback(900) == .unknown && window.puback(8) == .unknown)
        #expect(window.puback(7) == .finished(7))
        #expect(window.isEmpty && window.inFlight == 0)
    }

    @Test("a durable window sends nothing before its row is committed")
    func waitsForCommit() {
        var window = self.window(durable: true)
        _ = window.append("a", qos: 1, isRetained: false)
        _ = window.append("b", qos: 1, isRetained: false)
        #expect(self.sendAll(&window).isEmpty)
        window.committed(through: 1)
        #expect(self.sendAll(&window) == [1])
        window.committed(through: 2)
        #expect(self.sendAll(&window) == [2])
    }

    @Test("[MQTT-4.3.3-4] [MQTT-4.3.3-5] QoS 2: PUBREC is noted before PUBREL, PUBCOMP ends it; strays are unknown")
    func qos2() {
        var window = self.window(durable: true)
        _ = window.append("a", qos: 2, isRetained: false)
        window.committed(through: 1)
        #expect(self.sendAll(&window) == [1])
        #expect(window.puback(1) == .unknown)
        #expect(window.pubcomp(1) == .unknown)
        #expect(window.pubrec(1, isFailure: false) == .release(1))
        #expect(window.pubrec(1, isFailure: false) == .underWay)
        #expect(window.pubcomp(1) == .unknown)
        #expect(window.released(1) == 1)
        #expect(window.pubrec(1, isFailure: false) == .sendRelease)
        #expect(window.pubcomp(1) == .finished(1))
        #expect(window.pubcomp(1) == .unknown)
        #expect(window.isEmpty)
    }

    @Test("a PUBREC that refuses ends the exchange without PUBREL")
    func pubrecFailure() {
        var window = self.window()
        _ = window.append("a", qos: 2, isRetained: false)
        _ = self.sendAll(&window)
        #expect(window.pubrec(1, isFailure: true) == .finished(1))
        #expect(window.pubrec(1, isFailure: false) == .unknown)
    }

    /// Each state of an entry against each acknowledgement: only one pair per state does anything.
    @Test("acknowledgements by state", arguments: [1, 2] as [UInt8])
    func table(qos: UInt8) {
        var waiting = self.window()
        _ = waiting.append("a", qos: qos, isRetained: false)
        #expect(waiting.puback(1) == .unknown)
        #expect(waiting.pubrec(1, isFailure: false) == .unknown)
        #expect(waiting.pubrec(1, isFailure: true) == .unknown)
        #expect(waiting.pubcomp(1) == .unknown)

        var sent = waiting
        _ = sent.markSent()
        var copy = sent
        #expect(copy.puback(1) == (qos == 1 ? .finished(1) : .unknown))
        copy = sent
        #expect(copy.pubrec(1, isFailure: false) == (qos == 2 ? .sendRelease : .unknown))
        copy = sent
        #expect(copy.pubcomp(1) == .unknown)
        #expect(copy.puback(0) == .unknown)
        #expect(copy.puback(2) == .unknown)
        #expect(copy.puback(65_535) == .unknown)
    }

    @Test("what does not fit waits on disk, in order, and is asked for once the window is half empty")
    func pages() {
        var window = self.window(durable: true, max: 4)
        for number in 1...10 { #expect(window.append("\(number)", qos: 1, isRetained: false) == UInt64(number)) }
        window.committed(through: 10)
        #expect(window.entries.count == 4)
        #expect(window.isBehind)
        let step1 = window.wantsPage()
        #expect(!step1)
        #expect(self.sendAll(&window) == [1, 2, 3, 4])
        #expect(window.puback(1) == .finished(1))
        #expect(window.puback(2) == .finished(2))
        let step2 = window.wantsPage()
        #expect(step2)
        let step3 = window.wantsPage()
        #expect(!step3)
        let page = (5...6).map { OutboundEntry(seq: UInt64($0), message: "\($0)", qos: 1, isRetained: false) }
        window.load(page, through: 6)
        #expect(self.sendAll(&window) == [5, 6])
        #expect(window.isBehind)
        window.load((7...10).map { OutboundEntry(seq: UInt64($0), message: "\($0)", qos: 1, isRetained: false) }, through: 10)
        #expect(self.sendAll(&window) == [7, 8, 9, 10])
        #expect(!window.isBehind)
    }

    @Test("[MQTT-4.4.0-1] [MQTT311-4.4.0-1] after a restart open exchanges keep their identifiers, sent ones are duplicates, released ones get PUBREL")
    func restart() {
        var window = OutboundWindow<String>(entriesMax: 8, isDurable: true, after: 7, sent: 6, acknowledged: 3)
        let step4 = window.wantsPage()
        #expect(step4)
        window.load(
            [
                OutboundEntry(seq: 4, message: nil, qos: 2, isRetained: false, state: .released),
                OutboundEntry(seq: 6, message: "six", qos: 2, isRetained: false),
                OutboundEntry(seq: 7, message: "seven", qos: 1, isRetained: false),
            ], through: 7)
        #expect(window.releasedIDs == [4])
        #expect(window.nextToSend(receiveMaximum: 10)?.packetID == 6)
        let step5 = window.markSent()
        #expect(step5)
        #expect(window.nextToSend(receiveMaximum: 10)?.packetID == 7)
        let step6 = window.markSent()
        #expect(!step6)
        #expect(window.pubcomp(4) == .finished(4))
        #expect(window.pubrec(6, isFailure: false) == .release(6))
        #expect(window.puback(7) == .finished(7))
        #expect(window.released(6) == 6)
        #expect(window.pubcomp(6) == .finished(6))
        #expect(window.isEmpty)
    }

    @Test("a window that is not durable drops what does not fit")
    func drops() {
        var window = self.window(max: 2)
        #expect(window.append("a", qos: 1, isRetained: false) == 1)
        #expect(window.append("b", qos: 1, isRetained: false) == 2)
        #expect(window.append("c", qos: 1, isRetained: false) == nil)
        #expect(window.lastSeq == 2)
    }

    @Test(
        "[MQTT-4.8.2-5] what a share chose and was begun with QoS 2 is for nobody else; QoS 1 without PUBACK and what was not begun are",
        arguments: [1, 2] as [UInt8])
    func untakenShares(_ qos: UInt8) {
        var window = self.window()
        for text in ["begun", "waiting"] { _ = window.append(text, qos: qos, isRetained: false, share: "$share/g/t") }
        _ = window.append("its own", qos: qos, isRetained: false)
        #expect(self.sendAll(&window, receiveMaximum: 1) == [1])
        #expect(window.untakenShares.map(\.message) == (qos == 1 ? ["begun", "waiting"] : ["waiting"]))
    }

    @Test("[MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT311-2.3.1-4] an identifier is not given twice while its first exchange is open")
    func turn() {
        var window = OutboundWindow<Int>(entriesMax: 70_000, isDurable: false)
        for number in 1...65_540 { _ = window.append(number, qos: 1, isRetained: false) }
        var count = 0
        while window.nextToSend(receiveMaximum: 70_000) != nil {
            _ = window.markSent()
            count += 1
        }
        #expect(count == 65_535)
        #expect(window.puback(2) == .finished(2))
        #expect(window.nextToSend(receiveMaximum: 70_000) == nil)
        #expect(window.puback(1) == .finished(1))
        #expect(window.nextToSend(receiveMaximum: 70_000)?.packetID == 1)
    }

    @Test("random acknowledgements: everything is sent once, in order, never more than allowed")
    func random() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(state: seed)
        var window = OutboundWindow<Int>(entriesMax: 16, isDurable: true)
        var disk: [OutboundEntry<Int>] = []
        var open: [UInt16] = []
        var received: [Int] = []
        for step in 0..<20_000 {
            switch random.next() % 4 {
            case 0:
                if let seq = window.append(step, qos: 1, isRetained: false) {
                    disk.append(OutboundEntry(seq: seq, message: step, qos: 1, isRetained: false))
                }
            case 1: window.committed(through: window.lastSeq)
            case 2:
                if !open.isEmpty {
                    let id = open.remove(at: Int(random.next() % UInt64(open.count)))
                    guard case .finished(let seq) = window.puback(id) else {
                        Issue.record("seed \(seed): \(id) unknown")
                        return
                    }
                    disk.removeAll { $0.seq == seq }
                }
            default:
                if window.wantsPage() {
                    let page = disk.filter { $0.seq > window.windowEnd && $0.seq <= window.committedSeq }.prefix(8)
                    window.load(Array(page), through: page.last?.seq ?? window.windowEnd)
                }
            }
            while let entry = window.nextToSend(receiveMaximum: 10) {
                let step7 = window.markSent()
                #expect(!step7, "seed \(seed)")
                received.append(entry.message ?? -1)
                open.append(entry.packetID)
            }
            #expect(open.count <= 10, "seed \(seed)")
            #expect(window.entries.count <= 32, "seed \(seed)")
        }
        #expect(received == received.sorted(), "seed \(seed)")
        #expect(Set(received).count == received.count, "seed \(seed)")
    }

    @Test("the oldest message that is not in flight makes room in memory, and takes up none any more")
    func dropOldest() {
        var window = self.window(max: 3)
        for text in ["a", "b", "c"] { _ = window.append(text, qos: 1, isRetained: false, byteCount: 10) }
        #expect(self.sendAll(&window, receiveMaximum: 1) == [1])
        #expect(!window.hasRoom)
        #expect(window.dropOldest() == 10)
        #expect(window.hasRoom && window.byteCount == 20)
        _ = window.append("d", qos: 1, isRetained: false, byteCount: 10)
        #expect(window.puback(1) == .finished(1))
        #expect(self.sendAll(&window) == [3, 4])
        #expect(window.dropOldest() == nil, "all are in flight")
        #expect(window.puback(4) == .finished(4))
        #expect(window.puback(3) == .finished(3))
        #expect(window.isEmpty && window.byteCount == 0)
    }

    @Test("rows that were dropped on the disk are not sent, whether they are in the window or come with a page that was read before; what was sent stays")
    func droppedRows() {
        var window = self.window(durable: true)
        func row(_ seq: UInt64) -> OutboundEntry<String> { OutboundEntry(seq: seq, message: "\(seq)", qos: 1, isRetained: false, byteCount: 1) }
        for seq: UInt64 in 1...5 { window.take(row(seq), keeps: true) }
        #expect(self.sendAll(&window, receiveMaximum: 2) == [1, 2])
        window.dropped(through: 4)
        #expect(window.entries.map(\.seq) == [1, 2, 5] && window.byteCount == 3)
        window.disconnected()
        let wantsPage = window.wantsPage()
        #expect(wantsPage)
        window.load((1...5).map(row), through: 5)
        #expect(window.entries.map(\.seq) == [1, 2, 5])
        #expect(self.sendAll(&window) == [1, 2, 5])
    }

    @Test("[MQTT-4.4.0-1] what was sent goes on; where that is not known QoS 2 does, and QoS 1 does not")
    func wasSent() {
        func entry(_ seq: UInt64, _ qos: UInt8) -> OutboundEntry<String> { OutboundEntry(seq: seq, message: "m", qos: qos, isRetained: false) }
        let certain = OutboundWindow<String>(entriesMax: 8, isDurable: true, after: 5, sent: 3)
        #expect([1, 3, 4].map { certain.wasSent(entry($0, 1)) } == [true, true, false])
        let uncertain = OutboundWindow<String>(entriesMax: 8, isDurable: true, after: 5, sent: 3, isSentCertain: false)
        #expect([1, 3, 4].map { uncertain.wasSent(entry($0, 1)) } == [false, false, false])
        #expect([1, 3, 4].map { uncertain.wasSent(entry($0, 2)) } == [true, true, false])
    }
}

struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var z = self.state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
