import CThreadSlot
import Glibc
import Primitives

/// One line of JSON in memory that is lent to it: on the stack while it fits, else on the heap.
struct LineBuffer: ~Copyable {
    /// Longer texts are cut off, and say so.
    static let textLimit = 64 << 10

    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var isOwned = false
    private(set) var count = 0

    /// - Parameter memory: stays valid as long as the buffer.
    init(_ memory: UnsafeMutableBufferPointer<UInt8>) {
        precondition(memory.count > 0, "no memory")
        base = memory.baseAddress ?? .allocate(capacity: 1)
        capacity = memory.count
    }

    deinit { if isOwned { base.deallocate() } }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    @inline(__always)
    private mutating func reserve(_ more: Int) { if count + more > capacity { grow(more) } }

    @inline(never)
    private mutating func grow(_ more: Int) {
        let larger = max(capacity * 2, count + more)
        let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        grown.update(from: base, count: count)
        if isOwned { base.deallocate() }
        (base, capacity, isOwned) = (grown, larger, true)
    }

    @inline(__always)
    mutating func raw(_ text: StaticString) {
        reserve(text.utf8CodeUnitCount)
        (base + count).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        count += text.utf8CodeUnitCount
    }

    @inline(__always)
    mutating func raw(_ byte: UInt8) {
        reserve(1)
        base[count] = byte
        count += 1
    }

    mutating func raw(_ bytes: [UInt8]) { bytes.withUnsafeBufferPointer { raw($0) } }

    private mutating func raw(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let from = bytes.baseAddress else { return }
        reserve(bytes.count)
        (base + count).update(from: from, count: bytes.count)
        count += bytes.count
    }

    mutating func write(_ number: Int64) {
        if number < 0 { raw(UInt8(ascii: "-")) }
        write(number.magnitude)
    }

    mutating func write(_ number: UInt64) {
        reserve(20)
        var digits = 1
        var limit: UInt64 = 10
        while number >= limit {
            digits += 1
            guard digits < 20 else { break }
            limit &*= 10
        }
        var rest = number
        var place = count + digits
        count = place
        // Two at a time: a division is what takes the time.
        while rest >= 100 {
            let pair = UInt32(truncatingIfNeeded: rest % 100)
            rest /= 100
            place -= 2
            base[place] = UInt8(truncatingIfNeeded: pair / 10) + 0x30
            base[place + 1] = UInt8(truncatingIfNeeded: pair % 10) + 0x30
        }
        if rest >= 10 {
            base[place - 2] = UInt8(truncatingIfNeeded: rest / 10) + 0x30
            base[place - 1] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
        } else {
            base[place - 1] = UInt8(truncatingIfNeeded: rest) + 0x30
        }
    }

    /// What JSON cannot say (NaN, infinity) is null.
    mutating func write(_ number: Double) {
        guard number.isFinite else { return raw("null") }
        var text = number.description
        text.withUTF8 { raw($0) }
    }

    /// A string in quotes (RFC 8259 section 7), DEL escaped too.
    mutating func write(_ text: String) {
        let isDone: Void? = text.utf8.withContiguousStorageIfAvailable { quote($0) }
        if isDone == nil {
            var copy = text
            copy.withUTF8 { quote($0) }
        }
    }

    mutating func write(_ text: StaticString) { quote(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }

    /// Eight bytes are copied at a time, and looked at meanwhile: what must be escaped is written over what was copied of it.
    private mutating func quote(_ text: UnsafeBufferPointer<UInt8>) {
        guard text.count <= Self.textLimit else { return quoteBeginning(text) }
        // Each byte may become six, and the last copy reaches up to seven beyond its text.
        reserve(text.count * 6 + 10)
        base[count] = 0x22
        var place = base + count + 1
        var from = 0
        while from < text.count {
            let taken = min(8, text.count - from)
            let word = Self.word(text, from, taken)
            UnsafeMutableRawPointer(place).storeBytes(of: word.littleEndian, as: UInt64.self)
            let plain = min(Self.special(word).trailingZeroBitCount / 8, taken)
            place += plain
            from += plain
            guard plain < taken else { continue }
            place += Self.escape(text[from], to: place)
            from += 1
        }
        place[0] = 0x22
        count = base.distance(to: place) + 1
    }

    /// Of a text that is too long as much as may stand in a line, and how much that leaves out.
    private mutating func quoteBeginning(_ text: UnsafeBufferPointer<UInt8>) {
        // Not within a character.
        var end = Self.textLimit
        while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
        quote(UnsafeBufferPointer(rebasing: text[..<end]))
        count -= 1
        raw("... (")
        write(Int64(text.count - end))
        raw(" bytes cut off)\"")
    }

    /// Up to eight bytes, the first of them lowest; what is not there is 0.
    @inline(__always)
    private static func word(_ text: UnsafeBufferPointer<UInt8>, _ from: Int, _ taken: Int) -> UInt64 {
        let raw = UnsafeRawBufferPointer(text)
        if taken == 8 { return UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: from, as: UInt64.self)) }
        // The last eight, without those that were taken before.
        if text.count >= 8 {
            return UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: text.count - 8, as: UInt64.self)) >> UInt64(64 - 8 * taken)
        }
        // What is left of a short text: two halves that may overlap, or the first, the middle and the last byte.
        guard taken < 4 else {
            let low = raw.loadUnaligned(fromByteOffset: from, as: UInt32.self)
            let high = raw.loadUnaligned(fromByteOffset: from + taken - 4, as: UInt32.self)
            return UInt64(UInt32(littleEndian: low)) | UInt64(UInt32(littleEndian: high)) << UInt64(8 * (taken - 4))
        }
        let (middle, last) = (taken / 2, taken - 1)
        return UInt64(text[from]) | UInt64(text[from + middle]) << UInt64(8 * middle) | UInt64(text[from + last]) << UInt64(8 * last)
    }

    /// High bits where a byte must be escaped; the lowest of them is one, and those above it may come of what was carried.
    @inline(__always)
    private static func special(_ word: UInt64) -> UInt64 {
        let (ones, highs): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        /// Where a byte is below `limit` (which is at most 128) or, with exclusive or before, equal to one.
        func below(_ word: UInt64, _ limit: UInt64) -> UInt64 { (word &- ones &* limit) & ~word & highs }
        return below(word, 0x20) | below(word ^ (ones &* 0x22), 1) | below(word ^ (ones &* 0x5C), 1) | below(word ^ (ones &* 0x7F), 1)
    }

    @inline(__always)
    private static func isPlain(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        for from in stride(from: 0, to: text.count, by: 8) {
            let taken = min(8, text.count - from)
            guard special(word(text, from, taken)).trailingZeroBitCount / 8 >= taken else { return false }
        }
        return true
    }

    /// - Returns: how many bytes it took, at most six.
    private static func escape(_ byte: UInt8, to place: UnsafeMutablePointer<UInt8>) -> Int {
        place[0] = 0x5C
        switch byte {
        case 0x22, 0x5C: place[1] = byte
        case 0x0A: place[1] = UInt8(ascii: "n")
        case 0x0D: place[1] = UInt8(ascii: "r")
        case 0x09: place[1] = UInt8(ascii: "t")
        default:
            (place[1], place[2], place[3]) = (UInt8(ascii: "u"), 0x30, 0x30)
            (place[4], place[5]) = (hexCharacter(byte >> 4), hexCharacter(byte & 0xF))
            return 6
        }
        return 2
    }

    // MARK: Order of members

    /// Whether the key of one written member (`,"key":...`) is before that of another: by their bytes, and the quote that ends a key is below
    /// what most keys are made of.
    func precedes(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
        let length = min(left.count, right.count)
        return memcmp(base + left.lowerBound, base + right.lowerBound, length) < 0
    }

    /// Puts what was written last in this order: the parts, which are all that was written since the lowest of them began.
    mutating func arrange(_ parts: UnsafeBufferPointer<Range<Int>>) {
        var (start, isInOrder) = (count, true)
        for index in parts.indices {
            start = min(start, parts[index].lowerBound)
            if index > 0, parts[index - 1].upperBound != parts[index].lowerBound { isInOrder = false }
        }
        guard !isInOrder else { return }
        let length = count - start
        reserve(length)
        var place = base + count
        for part in parts {
            place.update(from: base + part.lowerBound, count: part.count)
            place += part.count
        }
        (base + start).update(from: base + count, count: length)
    }

    /// Sixteen hexadecimal digits.
    mutating func writeHexadecimal(_ number: UInt64) {
        for shift in stride(from: 60, through: 0, by: -4) { raw(hexCharacter(UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 0xF)) }
    }

    /// RFC 3339 with milliseconds, in quotes. What a second's lines share is made once.
    mutating func write(_ time: ClusterTime) {
        reserve(26)
        let cache = distric_second()
        let second = time.milliseconds / 1000
        let text = base + count + 1
        if cache.pointee.second == second, second > 0 {
            withUnsafePointer(to: &cache.pointee.text) { UnsafeMutableRawPointer(text).copyMemory(from: $0, byteCount: 24) }
            let rest = UInt32(truncatingIfNeeded: time.milliseconds % 1000)
            text[20] = UInt8(truncatingIfNeeded: rest / 100) + 0x30
            text[21] = UInt8(truncatingIfNeeded: rest / 10 % 10) + 0x30
            text[22] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
        } else {
            time.writeRFC3339(to: text)
            cache.pointee.second = second
            withUnsafeMutablePointer(to: &cache.pointee.text) { UnsafeMutableRawPointer($0).copyMemory(from: text, byteCount: 24) }
        }
        (base[count], base[count + 25]) = (0x22, 0x22)
        count += 26
    }

    /// `,"key":`
    @inline(__always)
    mutating func member(_ key: StaticString) {
        let length = key.utf8CodeUnitCount
        let name = UnsafeBufferPointer(start: key.utf8Start, count: length)
        guard Self.isPlain(name) else {
            raw(UInt8(ascii: ","))
            write(key)
            return raw(UInt8(ascii: ":"))
        }
        reserve(length + 4)
        let place = base + count
        (place[0], place[1]) = (UInt8(ascii: ","), 0x22)
        (place + 2).update(from: key.utf8Start, count: length)
        (place[length + 2], place[length + 3]) = (0x22, UInt8(ascii: ":"))
        count += length + 4
    }
}
