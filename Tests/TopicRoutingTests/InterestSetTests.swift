import SkerryModel
import TestKit
import Testing
import TopicRouting

@Suite("Interest of a box")
struct InterestSetTests {
    private func filters(_ texts: [String]) throws -> Set<TopicFilter> { Set(try texts.map { try TopicFilter($0) }) }

    @Test("what fits is told filter by filter, and once each however many subscribe")
    func exact() throws {
        var set = InterestSet()
        for text in ["a/b", "a/+", "a/b", "#"] { set.change(try TopicFilter(text), by: 1) }
        #expect(set.isBehind)
        let first = set.announcement(isExact: false)
        #expect(first?.map(\.text) == ["#", "a/+", "a/b"])
        #expect(!set.isCoalesced && !set.isBehind)
        #expect(set.announcement(isExact: true) == nil)
        set.change(try TopicFilter("a/b"), by: -1)
        #expect(set.announcement(isExact: true) == nil)
        set.change(try TopicFilter("a/b"), by: -1)
        #expect(set.announcement(isExact: false)?.map(\.text) == ["#", "a/+"])
    }

    @Test("a filter that comes and goes between two announcements is not told")
    func flicker() throws {
        var set = InterestSet()
        set.change(try TopicFilter("a"), by: 1)
        set.change(try TopicFilter("a"), by: -1)
        #expect(set.announcement(isExact: true) == nil)
        #expect(set.count == 0)
    }

    @Test("taking away more than there is leaves nothing behind")
    func never() throws {
        var set = InterestSet()
        set.change(try TopicFilter("a"), by: -3)
        set.change(try TopicFilter("a"), by: 1)
        #expect(set.announcement(isExact: true)?.map(\.text) == ["a"])
    }

    @Test("a large family becomes one filter, and rare topics stay as they are")
    func family() throws {
        var set = InterestSet(filtersMax: 10, bytesMax: 10_000)
        for number in 0..<50 { set.change(try TopicFilter("sensor/\(number)/temp"), by: 1) }
        for text in ["door/front", "door/back", "+/alarm"] { set.change(try TopicFilter(text), by: 1) }
        #expect(set.announcement(isExact: false)?.map(\.text) == ["+/alarm", "door/back", "door/front", "sensor/#"])
        #expect(set.isCoalesced)
    }

    @Test("what a wide announcement covers already is not told again, and what it does not is told at once")
    func covered() throws {
        var set = InterestSet(filtersMax: 4, bytesMax: 10_000)
        for number in 0..<9 { set.change(try TopicFilter("sensor/\(number)"), by: 1) }
        #expect(set.announcement(isExact: false)?.map(\.text) == ["sensor/#"])
        set.change(try TopicFilter("sensor/77/x"), by: 1)
        #expect(!set.isBehind && set.announcement(isExact: false) == nil)
        set.change(try TopicFilter("door"), by: 1)
        #expect(set.isBehind)
        #expect(set.announcement(isExact: false)?.map(\.text) == ["door", "sensor/#"])
        for number in 0..<9 { set.change(try TopicFilter("sensor/\(number)"), by: -1) }
        // Few enough again: exact without asking.
        #expect(set.announcement(isExact: false)?.map(\.text) == ["door", "sensor/77/x"])
    }

    @Test("while there is too much, what nobody wants any more is only found when it is asked for")
    func wide() throws {
        var set = InterestSet(filtersMax: 3, bytesMax: 10_000)
        for number in 0..<9 { set.change(try TopicFilter("a/\(number)"), by: 1) }
        for number in 0..<9 { set.change(try TopicFilter("b/\(number)"), by: 1) }
        #expect(set.announcement(isExact: false)?.map(\.text) == ["a/#", "b/#"])
        for number in 0..<9 { set.change(try TopicFilter("b/\(number)"), by: -1) }
        #expect(set.isTooWide)
        #expect(set.announcement(isExact: false) == nil)
        #expect(set.announcement(isExact: true)?.map(\.text) == ["a/#"])
    }

    @Test("a filter as long as MQTT allows fits nowhere, and everything is told instead")
    func longest() throws {
        var set = InterestSet()
        let long = String(repeating: "x", count: 65_535)
        set.change(try TopicFilter(long), by: 1)
        set.change(try TopicFilter("a"), by: 1)
        #expect(set.announcement(isExact: false)?.map(\.text) == ["#"])
        let text = String(repeating: "y", count: 65_534) + "/"
        #expect(InterestSet.coalesce([try TopicFilter(text)], filtersMax: 5, bytesMax: 100).map(\.text) == ["#"])
    }

    @Test("a coalesced set covers every filter it came from and stays within its limits, for random filters")
    func random() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<300 {
            let names = ["a", "b", "c", "dd", "", "+", "é"]
            var filters: Set<TopicFilter> = []
            for _ in 0..<Int.random(in: 1...80, using: &random) {
                var levels = (0..<Int.random(in: 1...6, using: &random)).map { _ in names.randomElement(using: &random) ?? "a" }
                if Int.random(in: 0..<4, using: &random) == 0 { levels.append("#") }
                if let filter = try? TopicFilter(levels.joined(separator: "/")) { filters.insert(filter) }
            }
            let (filtersMax, bytesMax) = (Int.random(in: 1...20, using: &random), Int.random(in: 8...400, using: &random))
            let set = InterestSet.coalesce(filters, filtersMax: filtersMax, bytesMax: bytesMax)
            #expect(set.count <= filtersMax, "seed \(seed)")
            #expect(set.reduce(0) { $0 + InterestSet.byteCount($1) } <= bytesMax, "seed \(seed)")
            for filter in filters {
                #expect(InterestSet.covers(set, filter), "seed \(seed): \(filter.text)")
                // And not by our own idea of covering alone: a topic that the filter wants is wanted by the set.
                let topic = try TopicName(filter.text.replacing("+", with: "zz").replacing("#", with: "z/z"))
                #expect(set.contains { $0.matches(topic) }, "seed \(seed): \(filter.text)")
            }
            #expect(InterestSet.coalesce(filters, filtersMax: filtersMax, bytesMax: bytesMax) == set)
        }
    }

    @Test("after any changes what was announced covers what is wanted, and matches nothing else when it is exact")
    func changes() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        var set = InterestSet(filtersMax: 8, bytesMax: 200)
        var wanted: [TopicFilter: Int] = [:]
        for _ in 0..<4_000 {
            let text = "\(Int.random(in: 0..<4, using: &random))/\(Int.random(in: 0..<5, using: &random))"
            let filter = try TopicFilter(text)
            let change = Bool.random(using: &random) || (wanted[filter] ?? 0) == 0 ? 1 : -1
            wanted[filter, default: 0] += change
            if wanted[filter] == 0 { wanted[filter] = nil }
            set.change(filter, by: change)
            if Int.random(in: 0..<5, using: &random) != 0 { continue }
            let isExact = Bool.random(using: &random)
            _ = set.announcement(isExact: isExact)
            let told = Set(set.current)
            for filter in wanted.keys { #expect(InterestSet.covers(told, filter), "seed \(seed)") }
            if isExact && wanted.count <= 8 { #expect(told == Set(wanted.keys), "seed \(seed)") }
        }
    }
}
