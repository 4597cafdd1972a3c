/// Text from outside on its way to a terminal or a log: what it says stays, what it could do to either does not.
enum PlainText {
    /// `text` with a blank for everything that begins a line, starts a terminal's command (C1 controls too) or turns the writing around.
    static func clean(_ text: String) -> String {
        if text.unicodeScalars.allSatisfy(Self.isPlain) { return text }
        var clean = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { clean.append(Self.isPlain(scalar) ? scalar : " ") }
        return String(clean)
    }

    /// One word of a shell's command, as people copy it from what is printed: whoever chose the text must not choose the command.
    static func quoted(_ text: String) -> String {
        var quoted = String.UnicodeScalarView("'".unicodeScalars)
        for scalar in Self.clean(text).unicodeScalars {
            if scalar == "'" { quoted.append(contentsOf: "'\\''".unicodeScalars) } else { quoted.append(scalar) }
        }
        quoted.append("'")
        return String(quoted)
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7F }
        return switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: false
        // Joiners belong to emoji and to several scripts.
        case .format: scalar.value == 0x200C || scalar.value == 0x200D
        default: true
        }
    }

    /// Columns that `text` takes in a terminal, where Chinese, Japanese and Korean characters and emoji take two (UAX #11).
    static func columns(_ text: String) -> Int {
        text.reduce(0) { columns, character in columns + (character.unicodeScalars.first.map(Self.isWide) == true ? 2 : 1) }
    }

    private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF01...0xFF60,
            0xFFE0...0xFFE6, 0x20000...0x3FFFD:
            true
        default: scalar.properties.isEmojiPresentation
        }
    }
}
