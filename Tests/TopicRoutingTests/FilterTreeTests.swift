import SkerryModel
import Testing
import TopicRouting

@Suite("Filter tree")
struct FilterTreeTests {
    private func numbers(_ tree: FilterTree, _ topic: String) throws -> [Int] {
        var numbers: [Int] = []
        tree.match(try TopicName(topic), into: &numbers)
        return numbers.sorted()
    }

    @Test("a filter keeps its number, another gets another, and a removed one's is given again")
    func numbering() throws {
        let tree = FilterTree()
        let (plain, wild, rest) = (tree.enter(try TopicFilter("a/b")), tree.enter(try TopicFilter("a/+")), tree.enter(try TopicFilter("a/#")))
        #expect(Set([plain, wild, rest]).count == 3)
        let again = try ["a/b", "a/+", "a/#"].map { tree.enter(try TopicFilter($0)) }
        #expect(again == [plain, wild, rest])
        #expect(tree.count == 3 && tree.numberEnd == 3)
        let found = try ["a/+", "b/+", "a/+/c"].map { tree.find(try TopicFilter($0)) }
        #expect(found == [wild, nil, nil])
        #expect(try self.numbers(tree, "a/b") == [plain, wild, rest].sorted())
        tree.remove(try TopicFilter("a/+"))
        tree.remove(try TopicFilter("a/+"))
        #expect(try tree.find(TopicFilter("a/+")) == nil)
        #expect(tree.count == 2)
        #expect(try tree.enter(TopicFilter("x/+")) == wild)
        #expect(tree.numberEnd == 3)
    }

    @Test("a share name plays no part: the shared filter and the plain one are the same filter here")
    func share() throws {
        let tree = FilterTree()
        for filter in ["a/+", "a/b"] { #expect(try tree.enter(TopicFilter("$share/g/\(filter)")) == tree.enter(TopicFilter(filter))) }
    }

    @Test("one node with thousands of children finds each of them and none besides, and lets all go")
    func manyChildren() throws {
        let tree = FilterTree()
        let names = (0..<3_000).map { "node-\($0)" } + ["", "a", "ab", "abcdefgh", "abcdefghi", "\u{1}", "é"]
        var known: [String: Int] = [:]
        for name in names { known[name] = tree.enter(try TopicFilter("top/\(name)/+")) }
        for name in names { #expect(try self.numbers(tree, "top/\(name)/x") == known[name].map { [$0] }) }
        #expect(try self.numbers(tree, "top/node-3000/x").isEmpty && self.numbers(tree, "top/b/x").isEmpty)
        for (removed, name) in names.enumerated() {
            tree.remove(try TopicFilter("top/\(name)/+"))
            if removed.isMultiple(of: 500) {
                for (place, other) in names.enumerated() {
                    #expect(try self.numbers(tree, "top/\(other)/x") == (place > removed ? known[other].map { [$0] } : []))
                }
            }
        }
        #expect(tree.count == 0 && tree.nodeCount == 0)
    }

    @Test("20,000 other filters do not show in a match")
    func others() throws {
        let tree = FilterTree()
        let wanted = tree.enter(try TopicFilter("site/7/+/temp"))
        for other in 0..<10_000 {
            _ = tree.enter(try TopicFilter("other/\(other)/+"))
            _ = tree.enter(try TopicFilter("plain/\(other)"))
        }
        #expect(try self.numbers(tree, "site/7/x/temp") == [wanted])
        #expect(tree.count == 20_001)
    }
}
