/// A QR code (ISO/IEC 18004) of a short text in byte mode, error correction level M, versions 1 to 13: up to 331 bytes, enough for a link.
package struct QRCode: Sendable, Hashable {
    /// Modules on a side.
    package let size: Int
    private var dark: [Bool]
    private var isFunction: [Bool]

    /// Whether the module is dark; outside is the light margin.
    package subscript(x: Int, y: Int) -> Bool {
        (0..<self.size).contains(x) && (0..<self.size).contains(y) ? self.dark[y * self.size + x] : false
    }

    /// Nil when the text is too long.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let form = Self.forms.first(where: { bytes.count <= $0.capacity }) else { return nil }
        self.size = 17 + 4 * form.version
        self.dark = [Bool](repeating: false, count: self.size * self.size)
        self.isFunction = self.dark
        self.drawFunctionPatterns(form)
        self.drawData(Self.interleave(Self.codewords(bytes, form), form))
        self.chooseMask()
    }

    /// The code with its margin for a terminal: two modules a character, light on dark terminals too because both colours are drawn.
    package var terminalText: String {
        var text = ""
        for y in stride(from: -2, to: self.size + 2, by: 2) {
            for x in -2..<(self.size + 2) {
                switch (self[x, y], self[x, y + 1]) {
                case (false, false): text += "█"
                case (false, true): text += "▀"
                case (true, false): text += "▄"
                case (true, true): text += " "
                }
            }
            text += "\n"
        }
        return text
    }

    // MARK: - Data

    /// Level M: error-correction codewords a block, and the data codewords of each block.
    private struct Form {
        let version: Int
        let correction: Int
        let blocks: [Int]
        let alignment: [Int]

        var dataCount: Int { self.blocks.reduce(0, +) }
        /// Bytes of text: what is left after the mode (4 bits) and the count (8 bits, 16 from version 10 on).
        var capacity: Int { self.dataCount - (self.version < 10 ? 2 : 3) }
    }

    private static let forms: [Form] = [
        Form(version: 1, correction: 10, blocks: [16], alignment: []),
        Form(version: 2, correction: 16, blocks: [28], alignment: [6, 18]),
        Form(version: 3, correction: 26, blocks: [44], alignment: [6, 22]),
        Form(version: 4, correction: 18, blocks: [32, 32], alignment: [6, 26]),
        Form(version: 5, correction: 24, blocks: [43, 43], alignment: [6, 30]),
        Form(version: 6, correction: 16, blocks: [27, 27, 27, 27], alignment: [6, 34]),
        Form(version: 7, correction: 18, blocks: [31, 31, 31, 31], alignment: [6, 22, 38]),
        Form(version: 8, correction: 22, blocks: [38, 38, 39, 39], alignment: [6, 24, 42]),
        Form(version: 9, correction: 22, blocks: [36, 36, 36, 37, 37], alignment: [6, 26, 46]),
        Form(version: 10, correction: 26, blocks: [43, 43, 43, 43, 44], alignment: [6, 28, 50]),
        Form(version: 11, correction: 30, blocks: [50, 51, 51, 51, 51], alignment: [6, 30, 54]),
        Form(version: 12, correction: 22, blocks: [36, 36, 36, 36, 36, 36, 37, 37], alignment: [6, 32, 58]),
        Form(version: 13, correction: 22, blocks: [37, 37, 37, 37, 37, 37, 37, 37, 38], alignment: [6, 34, 62]),
    ]

    private static func codewords(_ bytes: [UInt8], _ form: Form) -> [UInt8] {
        var bits: [Bool] = []
        func append(_ value: Int, _ count: Int) { for bit in stride(from: count - 1, through: 0, by: -1) { bits.append(value >> bit & 1 == 1) } }
        append(0b0100, 4)
        append(bytes.count, form.version < 10 ? 8 : 16)
        for byte in bytes { append(Int(byte), 8) }
        append(0, min(4, form.dataCount * 8 - bits.count))
        while bits.count % 8 != 0 { bits.append(false) }
        var words: [UInt8] = stride(from: 0, to: bits.count, by: 8).map { start in bits[start..<(start + 8)].reduce(0) { $0 << 1 | ($1 ? 1 : 0) } }
        var isOdd = true
        while words.count < form.dataCount {
            words.append(isOdd ? 0xEC : 0x11)
            isOdd.toggle()
        }
        return words
    }

    private static func interleave(_ words: [UInt8], _ form: Form) -> [UInt8] {
        let divisor = Self.divisor(form.correction)
        var data: [[UInt8]] = []
        var correction: [[UInt8]] = []
        var start = 0
        for count in form.blocks {
            let block = Array(words[start..<(start + count)])
            data.append(block)
            correction.append(Self.remainder(block, divisor))
            start += count
        }
        var result: [UInt8] = []
        for index in 0..<(form.blocks.max() ?? 0) { for block in data where index < block.count { result.append(block[index]) } }
        for index in 0..<form.correction { for block in correction { result.append(block[index]) } }
        return result
    }

    /// Reed-Solomon over GF(2⁸) with the polynomial 0x11D.
    private static func divisor(_ degree: Int) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: degree - 1) + [1]
        var root: UInt8 = 1
        for _ in 0..<degree {
            for index in 0..<degree {
                result[index] = Self.multiply(result[index], root)
                if index + 1 < degree { result[index] ^= result[index + 1] }
            }
            root = Self.multiply(root, 2)
        }
        return result
    }

    private static func remainder(_ data: [UInt8], _ divisor: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: divisor.count)
        for byte in data {
            let factor = byte ^ result.removeFirst()
            result.append(0)
            for index in divisor.indices { result[index] ^= Self.multiply(divisor[index], factor) }
        }
        return result
    }

    private static func multiply(_ left: UInt8, _ right: UInt8) -> UInt8 {
        var product = 0
        for bit in stride(from: 7, through: 0, by: -1) {
            product = (product << 1) ^ ((product >> 7) * 0x11D)
            product ^= Int(right >> UInt8(bit) & 1) * Int(left)
        }
        return UInt8(truncatingIfNeeded: product)
    }

    // MARK: - Drawing

    private mutating func set(_ x: Int, _ y: Int, _ isDark: Bool) {
        guard (0..<self.size).contains(x), (0..<self.size).contains(y) else { return }
        self.dark[y * self.size + x] = isDark
        self.isFunction[y * self.size + x] = true
    }

    private mutating func drawFunctionPatterns(_ form: Form) {
        for index in 0..<self.size {
            self.set(6, index, index % 2 == 0)
            self.set(index, 6, index % 2 == 0)
        }
        for (x, y) in [(3, 3), (self.size - 4, 3), (3, self.size - 4)] {
            for dy in -4...4 {
                for dx in -4...4 {
                    let distance = max(abs(dx), abs(dy))
                    self.set(x + dx, y + dy, distance != 2 && distance != 4)
                }
            }
        }
        let last = form.alignment.count - 1
        for (i, x) in form.alignment.enumerated() {
            for (j, y) in form.alignment.enumerated() where !((i == 0 && j == 0) || (i == 0 && j == last) || (i == last && j == 0)) {
                for dy in -2...2 { for dx in -2...2 { self.set(x + dx, y + dy, max(abs(dx), abs(dy)) != 1) } }
            }
        }
        self.drawFormat(mask: 0)
        if form.version >= 7 { self.drawVersion(form.version) }
    }

    private mutating func drawFormat(mask: Int) {
        // Level M is 00.
        var remainder = mask
        for _ in 0..<10 { remainder = (remainder << 1) ^ ((remainder >> 9) * 0x537) }
        let bits = (mask << 10 | remainder) ^ 0x5412
        func bit(_ index: Int) -> Bool { bits >> index & 1 == 1 }
        for index in 0...5 { self.set(8, index, bit(index)) }
        self.set(8, 7, bit(6))
        self.set(8, 8, bit(7))
        self.set(7, 8, bit(8))
        for index in 9..<15 { self.set(14 - index, 8, bit(index)) }
        for index in 0..<8 { self.set(self.size - 1 - index, 8, bit(index)) }
        for index in 8..<15 { self.set(8, self.size - 15 + index, bit(index)) }
        self.set(8, self.size - 8, true)
    }

    private mutating func drawVersion(_ version: Int) {
        var remainder = version
        for _ in 0..<12 { remainder = (remainder << 1) ^ ((remainder >> 11) * 0x1F25) }
        let bits = version << 12 | remainder
        for index in 0..<18 {
            let isDark = bits >> index & 1 == 1
            self.set(self.size - 11 + index % 3, index / 3, isDark)
            self.set(index / 3, self.size - 11 + index % 3, isDark)
        }
    }

    private mutating func drawData(_ words: [UInt8]) {
        var index = 0
        var right = self.size - 1
        while right >= 1 {
            if right == 6 { right = 5 }
            for vertical in 0..<self.size {
                for column in 0..<2 {
                    let x = right - column
                    let y = (right + 1) & 2 == 0 ? self.size - 1 - vertical : vertical
                    guard !self.isFunction[y * self.size + x], index < words.count * 8 else { continue }
                    self.dark[y * self.size + x] = words[index / 8] >> UInt8(7 - index % 8) & 1 == 1
                    index += 1
                }
            }
            right -= 2
        }
    }

    private mutating func apply(_ mask: Int) {
        for y in 0..<self.size {
            for x in 0..<self.size where !self.isFunction[y * self.size + x] {
                let isFlipped: Bool
                switch mask {
                case 0: isFlipped = (x + y) % 2 == 0
                case 1: isFlipped = y % 2 == 0
                case 2: isFlipped = x % 3 == 0
                case 3: isFlipped = (x + y) % 3 == 0
                case 4: isFlipped = (x / 3 + y / 2) % 2 == 0
                case 5: isFlipped = x * y % 2 + x * y % 3 == 0
                case 6: isFlipped = (x * y % 2 + x * y % 3) % 2 == 0
                default: isFlipped = ((x + y) % 2 + x * y % 3) % 2 == 0
                }
                if isFlipped { self.dark[y * self.size + x].toggle() }
            }
        }
    }

    /// The mask with the fewest runs and blocks, so that a camera finds no false patterns.
    private mutating func chooseMask() {
        var best = (mask: 0, penalty: Int.max)
        for mask in 0..<8 {
            var candidate = self
            candidate.apply(mask)
            candidate.drawFormat(mask: mask)
            let penalty = candidate.penalty
            if penalty < best.penalty { best = (mask, penalty) }
        }
        self.apply(best.mask)
        self.drawFormat(mask: best.mask)
    }

    /// Long runs, 2 × 2 blocks and an unbalanced share of dark modules; the false finder patterns of the standard's third rule are left out,
    /// which costs readability next to nothing and never correctness.
    private var penalty: Int {
        var sum = 0
        for isRow in [true, false] {
            for line in 0..<self.size {
                var run = 0
                var previous: Bool?
                for index in 0..<self.size {
                    let module = isRow ? self[index, line] : self[line, index]
                    run = module == previous ? run + 1 : 1
                    if run == 5 { sum += 3 } else if run > 5 { sum += 1 }
                    previous = module
                }
            }
        }
        for y in 0..<(self.size - 1) {
            for x in 0..<(self.size - 1) {
                let module = self[x, y]
                if module == self[x + 1, y], module == self[x, y + 1], module == self[x + 1, y + 1] { sum += 3 }
            }
        }
        let share = self.dark.count { $0 } * 20 / self.dark.count
        return sum + abs(share - 10) * 10
    }
}
