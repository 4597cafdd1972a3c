import SkerryModel
import TestKit
import Testing
import TopicRouting

@Suite("Subscription tree")
struct SubscriptionTreeTests {
    private func subscribers(_ tree: SubscriptionTree<String, Int>, _ topic: String) throws -> [String] {
        var matches = SubscriptionTree<String, Int>.Matches()
        tree.match(try TopicName(topic), into: &matches)
        return matches.subscriptions.map(\.subscriber).sorted()
    }

    @Test("[MQTT-3.3.4-2] overlapping filters of one subscriber each give an entry with their own options")
    func overlapping() throws {
        let tree = SubscriptionTree<String, Int>()
        for (option, filter) in ["a/b", "a/+", "#", "a/#"].enumerated() { tree.insert(try TopicFilter(filter), "one", option) }
        tree.insert(try TopicFilter("a/c"), "two", 9)
        var matches = SubscriptionTree<String, Int>.Matches()
        tree.match(try TopicName("a/b"), into: &matches)
        #expect(matches.subscriptions.map(\.options).sorted() == [0, 1, 2, 3])
        #expect(tree.count == 5)
    }

    @Test("[MQTT-3.8.4-3] the same filter again replaces the options and gives back the old ones")
    func replacing() throws {
        let tree = SubscriptionTree<String, Int>()
        for filter in ["a/b", "a/+", "$share/g/a/+"] {
            #expect(tree.insert(try TopicFilter(filter), "one", 1) == nil)
            #expect(tree.insert(try TopicFilter(filter), "one", 2) == 1)
        }
        #expect(tree.count == 3)
        var matches = SubscriptionTree<String, Int>.Matches()
        tree.match(try TopicName("a/b"), into: &matches)
        #expect(matches.subscriptions.map(\.options) == [2, 2])
        #expect(matches.shared.map { $0.members.map(\.options) } == [[2]])
    }

    @Test("[MQTT-4.7.2-1] wildcards at the first level do not reach topics that start with $")
    func dollar() throws {
        let tree = SubscriptionTree<String, Int>()
        for filter in ["#", "+", "+/a", "$SYS/#", "$SYS/+", "$SYS/a"] { tree.insert(try TopicFilter(filter), filter, 0) }
        #expect(try self.subscribers(tree, "$SYS/a") == ["$SYS/#", "$SYS/+", "$SYS/a"])
        #expect(try self.subscribers(tree, "$SYS") == ["$SYS/#"])
        #expect(try self.subscribers(tree, "b/a") == ["#", "+/a"])
    }

    @Test("a shared subscription gives its group as one, apart from the members' own subscriptions")
    func shared() throws {
        let tree = SubscriptionTree<String, Int>()
        tree.insert(try TopicFilter("$share/g/a/#"), "one", 1)
        tree.insert(try TopicFilter("$share/g/a/#"), "two", 2)
        tree.insert(try TopicFilter("$share/h/a/#"), "one", 3)
        tree.insert(try TopicFilter("$share/g/a/b"), "three", 4)
        tree.insert(try TopicFilter("a/#"), "one", 5)
        var matches = SubscriptionTree<String, Int>.Matches()
        tree.match(try TopicName("a/b"), into: &matches)
        #expect(matches.subscriptions.map(\.options) == [5])
        let groups = matches.shared.map { "\($0.filter): \($0.members.map(\.subscriber).sorted())" }.sorted()
        #expect(groups == ["$share/g/a/#: [\"one\", \"two\"]", "$share/g/a/b: [\"three\"]", "$share/h/a/#: [\"one\"]"])
        #expect(tree.remove(try TopicFilter("$share/g/a/#"), "one") == 1)
        #expect(tree.remove(try TopicFilter("$share/g/a/#"), "one") == nil)
        matches.removeAll()
        #expect(matches.isEmpty)
        tree.match(try TopicName("a/b"), into: &matches)
        #expect(matches.shared.first { $0.filter.text == "$share/g/a/#" }?.members.map(\.subscriber) == ["two"])
    }

    @Test("topics that look alike but differ in bytes do not share subscribers")
    func bytes() throws {
        let tree = SubscriptionTree<String, Int>()
        tree.insert(try TopicFilter("caf\u{E9}/x"), "composed", 0)
        tree.insert(try TopicFilter("cafe\u{301}/+"), "decomposed", 0)
        #expect(try self.subscribers(tree, "caf\u{E9}/x") == ["composed"])
        #expect(try self.subscribers(tree, "cafe\u{301}/x") == ["decomposed"])
    }

    @Test("a list of many subscribers loses exactly the one that is removed")
    func manySubscribers() throws {
        let tree = SubscriptionTree<Int, Int>()
        for filter in try [TopicFilter("a/b"), TopicFilter("a/+")] {
            for subscriber in 0..<50 { tree.insert(filter, subscriber, subscriber) }
            var left = Set(0..<50)
            for subscriber in (0..<50).map({ ($0 * 17) % 50 }) {
                #expect(tree.remove(filter, subscriber) == subscriber)
                left.remove(subscriber)
                var matches = SubscriptionTree<Int, Int>.Matches()
                tree.match(try TopicName("a/b"), into: &matches)
                #expect(Set(matches.subscriptions.map(\.subscriber)) == left && matches.subscriptions.count == left.count)
            }
        }
        #expect(tree.isEmpty && tree.nodeCount == 0)
    }

    @Test("removing prunes: what remains is what an untouched tree would have")
    func pruning() throws {
        let tree = SubscriptionTree<String, Int>()
        tree.insert(try TopicFilter("a/+/c"), "one", 0)
        let before = tree.nodeCount
        for filter in ["a/+/c/d/e", "a/+/#", "+/+/+/+", "x/y", "#", "a/+/c/#"] { tree.insert(try TopicFilter(filter), "two", 0) }
        #expect(tree.nodeCount > before)
        for filter in ["a/+/c/d/e", "a/+/#", "+/+/+/+", "x/y", "#", "a/+/c/#"] { #expect(tree.remove(try TopicFilter(filter), "two") == 0) }
        #expect(tree.nodeCount == before)
        #expect(tree.remove(try TopicFilter("a/+"), "one") == nil)
        #expect(tree.remove(try TopicFilter("a/+/c"), "two") == nil)
        #expect(tree.remove(try TopicFilter("a/b/c"), "one") == nil)
        #expect(tree.nodeCount == before && tree.count == 1)
    }

    @Test("the deepest filter and topic are walked")
    func deepest() throws {
        let tree = SubscriptionTree<String, Int>()
        let levels = Array(repeating: "a", count: 201)
        tree.insert(try TopicFilter(levels.joined(separator: "/")), "literal", 0)
        tree.insert(try TopicFilter(Array(repeating: "+", count: 201).joined(separator: "/")), "wild", 0)
        #expect(try self.subscribers(tree, levels.joined(separator: "/")) == ["literal", "wild"])
        tree.remove(try TopicFilter(levels.joined(separator: "/")), "literal")
        tree.remove(try TopicFilter(Array(repeating: "+", count: 201).joined(separator: "/")), "wild")
        #expect(tree.nodeCount == 0)
    }

    // MARK: - Random

    /// What the specification says, in the plainest words there are.
    private static func naive(_ filter: [Substring], _ topic: [Substring]) -> Bool {
        if topic.first?.hasPrefix("$") == true, filter.first == "+" || filter.first == "#" { return false }
        return self.naiveLevels(filter[...], topic[...])
    }

    private static func naiveLevels(_ filter: ArraySlice<Substring>, _ topic: ArraySlice<Substring>) -> Bool {
        guard let wanted = filter.first else { return topic.isEmpty }
        if wanted == "#" { return true }
        guard let level = topic.first else { return false }
        return (wanted == "+" || wanted == level) && self.naiveLevels(filter.dropFirst(), topic.dropFirst())
    }

    private static func randomText(isFilter: Bool, using random: inout SeededRandom) -> String {
        let words = isFilter ? ["a", "b", "", "é", "$x", "+", "+"] : ["a", "b", "", "é", "$x"]
        var levels = (0..<Int.random(in: 1...4, using: &random)).map { _ in words.randomElement(using: &random) ?? "a" }
        if isFilter, Int.random(in: 0..<3, using: &random) == 0 { levels.append("#") }
        let text = levels.joined(separator: "/")
        return text.isEmpty ? "a" : text
    }

    @Test("tree, filter and the plainest matcher agree, through 20,000 random changes and topics", arguments: [UInt64.random(in: 0 ... .max), 1])
    func random(_ seed: UInt64) throws {
        print("subscription tree: seed \(seed)")
        var random = SeededRandom(seed: seed)
        let tree = SubscriptionTree<Int, Int>()
        var model: [TopicFilter: [Int: Int]] = [:]
        for step in 0..<20_000 {
            let text = Self.randomText(isFilter: true, using: &random)
            let filter = try TopicFilter(Int.random(in: 0..<4, using: &random) == 0 ? "$share/\(step % 2)/\(text)" : text)
            let subscriber = Int.random(in: 0..<12, using: &random)
            if Int.random(in: 0..<5, using: &random) < 3 {
                #expect(tree.insert(filter, subscriber, step) == model[filter]?[subscriber])
                model[filter, default: [:]][subscriber] = step
            } else {
                #expect(tree.remove(filter, subscriber) == model[filter]?[subscriber])
                model[filter]?[subscriber] = nil
                if model[filter]?.isEmpty == true { model[filter] = nil }
            }
            guard step.isMultiple(of: 100) else { continue }
            let topic = Self.randomText(isFilter: false, using: &random)
            try self.compare(tree, model, topic, seed: seed, step: step)
        }
        #expect(tree.count == model.values.reduce(0) { $0 + $1.count })
        for (filter, subscribers) in model {
            for (subscriber, options) in subscribers { #expect(tree.remove(filter, subscriber) == options) }
        }
        #expect(tree.isEmpty && tree.nodeCount == 0, "seed \(seed)")
    }

    private func compare(_ tree: SubscriptionTree<Int, Int>, _ model: [TopicFilter: [Int: Int]], _ text: String, seed: UInt64, step: Int) throws {
        let topic = try TopicName(text)
        let levels = text.split(separator: "/", omittingEmptySubsequences: false)
        var (own, shared): ([Int], [String]) = ([], [])
        for (filter, subscribers) in model {
            let isWanted = Self.naive(filter.filter.split(separator: "/", omittingEmptySubsequences: false), levels)
            #expect(filter.matches(topic) == isWanted, "\(filter) on \(text), seed \(seed)")
            #expect(!isWanted || text.utf8.starts(with: filter.literalPrefix.utf8))
            guard isWanted else { continue }
            if filter.isShared { shared.append("\(filter) \(subscribers.values.sorted())") } else { own += subscribers.values }
        }
        var matches = SubscriptionTree<Int, Int>.Matches()
        tree.match(topic, into: &matches)
        #expect(matches.subscriptions.map(\.options).sorted() == own.sorted(), "\(text), seed \(seed), step \(step)")
        #expect(matches.shared.map { "\($0.filter) \($0.members.map(\.options).sorted())" }.sorted() == shared.sorted(), "\(text), seed \(seed)")
        #expect(tree.hasMatch(topic) == !(own.isEmpty && shared.isEmpty))
    }
}
