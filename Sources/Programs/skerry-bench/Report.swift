/// The figures of one invocation.
struct Report {
    struct Row {
        let name: String
        let value: Double
        let unit: String
        /// The same of the broker beside it, where there is one.
        var beside: Double?
        /// The least and the most of the runs, where there were several: what the figure is worth.
        var range: ClosedRange<Double>?
        var besideRange: ClosedRange<Double>?
        /// What the figure is to stay under or reach, where that was decided.
        var target: String?
    }

    let machine: String
    let program: String
    private(set) var rows: [Row] = []
    /// How it was measured, in sentences.
    private(set) var notes: [String] = []

    init(machine: String, program: String) {
        self.machine = machine
        self.program = program
    }

    mutating func add(_ name: String, _ value: Double, _ unit: String, beside: Double? = nil, target: String? = nil) {
        self.add(Row(name: name, value: value, unit: unit, beside: beside, target: target))
    }

    private mutating func add(_ row: Row) {
        self.rows.append(row)
        Progress.say("\(row.name): \(Self.number(row.value)) \(row.unit)" + (row.beside.map { ", mosquitto \(Self.number($0))" } ?? ""))
    }

    /// The median of each broker's runs, the box's first, with what the runs lay between.
    mutating func add(_ name: String, runs: [[Double]], _ unit: String, target: String? = nil) {
        func range(_ index: Int) -> ClosedRange<Double>? {
            guard index < runs.count, runs[index].count > 1, let low = runs[index].min(), let high = runs[index].max(), low.isFinite else { return nil }
            return low...high
        }
        let medians = runs.map(Statistics.median)
        guard let first = medians.first else { return }
        self.add(
            Row(
                name: name, value: first, unit: unit, beside: medians.count > 1 ? medians[1] : nil, range: range(0), besideRange: range(1), target: target))
    }

    mutating func note(_ text: String) {
        self.notes.append(text)
        Progress.say(text)
    }

    func print(asJSON: Bool) {
        Swift.print(asJSON ? self.json() : self.table())
    }

    private func table() -> String {
        let header = ["figure", "skerry", "range", "unit", "mosquitto", "range", "ratio", "wanted"]
        let cells = self.rows.map { row in
            [
                row.name, Self.number(row.value), Self.text(row.range), row.unit, row.beside.map(Self.number) ?? "", Self.text(row.besideRange),
                row.beside.map { Self.number($0 == 0 ? .nan : row.value / $0, digits: 2) } ?? "",
                row.target ?? "",
            ]
        }
        let used = header.indices.filter { column in column < 2 || cells.contains { !$0[column].isEmpty } }
        let widths = header.indices.map { column in ([header] + cells).map { $0[column].count }.max() ?? 0 }
        func line(_ cells: [String]) -> String {
            let padded = used.map { column in
                let space = String(repeating: " ", count: widths[column] - cells[column].count)
                return [0, 3, 7].contains(column) ? cells[column] + space : space + cells[column]
            }
            return "| " + padded.joined(separator: " | ") + " |"
        }
        let rule = "|" + used.map { String(repeating: "-", count: widths[$0] + 2) }.joined(separator: "|") + "|"
        return ([self.machine] + self.notes + ["", line(header), rule] + cells.map(line)).joined(separator: "\n")
    }

    private func json() -> String {
        let rows = self.rows.map { row in
            var text = "    {\"name\": \(Self.quote(row.name)), \"value\": \(Self.plain(row.value)), \"unit\": \(Self.quote(row.unit))"
            if let beside = row.beside { text += ", \"mosquitto\": \(Self.plain(beside)), \"ratio\": \(Self.plain(row.value / beside))" }
            if let range = row.range { text += ", \"range\": [\(Self.plain(range.lowerBound)), \(Self.plain(range.upperBound))]" }
            if let range = row.besideRange { text += ", \"mosquittoRange\": [\(Self.plain(range.lowerBound)), \(Self.plain(range.upperBound))]" }
            if let target = row.target { text += ", \"wanted\": \(Self.quote(target))" }
            return text + "}"
        }
        return
            "{\n  \"machine\": \(Self.quote(self.machine)),\n  \"program\": \(Self.quote(self.program)),\n  \"notes\": [\(self.notes.map(Self.quote).joined(separator: ", "))],\n  \"figures\": [\n\(rows.joined(separator: ",\n"))\n  ]\n}"
    }

    /// Three digits that matter, thousands apart.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        let size = abs(value)
        if size == 0 { return "0" }
        return Self.number(value, digits: size >= 100 ? 0 : size >= 10 ? 1 : 2)
    }

    static func number(_ value: Double, digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "–" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int((abs(value) * scale).rounded())
        var whole = String(scaled / Int(scale))
        var index = whole.index(whole.endIndex, offsetBy: -3, limitedBy: whole.startIndex)
        while let at = index, at > whole.startIndex {
            whole.insert(",", at: at)
            index = whole.index(at, offsetBy: -3, limitedBy: whole.startIndex)
        }
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return sign + whole }
        let rest = String(scaled % Int(scale))
        return sign + whole + "." + String(repeating: "0", count: digits - rest.count) + rest
    }

    private static func text(_ range: ClosedRange<Double>?) -> String { range.map { "\(Self.number($0.lowerBound))–\(Self.number($0.upperBound))" } ?? "" }

    private static func plain(_ value: Double) -> String { value.isFinite ? "\(value)" : "null" }

    private static func quote(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case _ where scalar.value < 0x20: result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
