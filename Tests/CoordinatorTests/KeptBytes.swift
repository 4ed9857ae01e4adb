import Wire

/// Bytes that stay where they are for as long as the tests run, so that a test may keep what it has read of them.
extension TLVReader {
    init(_ bytes: ArraySlice<UInt8>, repeating repeated: UInt64 = 0, limit: Int = fieldLimit) {
        let kept = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
        kept.copyBytes(from: bytes)
        self.init(UnsafeRawBufferPointer(kept), repeating: repeated, limit: limit)
    }
}
