/// What is to happen, by time and then by order of planning.
struct EventQueue {
    private struct Key {
        var time: UInt64
        var order: UInt64
        var slot: Int
    }

    private var heap: [Key] = []
    private var slots: [(() -> Void)?] = []
    private var free: [Int] = []
    private var planned: UInt64 = 0

    var next: UInt64? { self.heap.first?.time }

    mutating func plan(_ time: UInt64, _ action: @escaping () -> Void) {
        let slot: Int
        if let last = self.free.popLast() {
            slot = last
            self.slots[slot] = action
        } else {
            slot = self.slots.count
            self.slots.append(action)
        }
        self.planned &+= 1
        self.heap.append(Key(time: time, order: self.planned, slot: slot))
        self.rise(self.heap.count - 1)
    }

    mutating func pop() -> (time: UInt64, action: () -> Void)? {
        guard let first = self.heap.first, let last = self.heap.popLast() else { return nil }
        if !self.heap.isEmpty {
            self.heap[0] = last
            self.sink()
        }
        guard let action = self.slots[first.slot] else { return nil }
        self.slots[first.slot] = nil
        self.free.append(first.slot)
        return (first.time, action)
    }

    /// Closures hold the boxes and the boxes the queue: without this nothing would ever be freed.
    mutating func removeAll() {
        self.heap = []
        self.slots = []
        self.free = []
    }

    private static func isBefore(_ one: Key, _ other: Key) -> Bool { one.time < other.time || (one.time == other.time && one.order < other.order) }

    private mutating func rise(_ start: Int) {
        var index = start
        let key = self.heap[index]
        while index > 0 {
            let parent = (index - 1) / 2
            guard Self.isBefore(key, self.heap[parent]) else { break }
            self.heap[index] = self.heap[parent]
            index = parent
        }
        self.heap[index] = key
    }

    private mutating func sink() {
        var index = 0
        let key = self.heap[0]
        let count = self.heap.count
        while true {
            var child = 2 * index + 1
            guard child < count else { break }
            if child + 1 < count, Self.isBefore(self.heap[child + 1], self.heap[child]) { child += 1 }
            guard Self.isBefore(self.heap[child], key) else { break }
            self.heap[index] = self.heap[child]
            index = child
        }
        self.heap[index] = key
    }
}
