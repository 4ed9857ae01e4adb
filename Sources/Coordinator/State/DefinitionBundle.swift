import Primitives
package import Wire

/// Definitions as the bytes of an upload.
package enum DefinitionBundle {
    package static func encode(_ records: [DefinitionRecord]) -> [UInt8] {
        var writer = TLVWriter(reserving: 1 << 16)
        for record in records { writer.definition(1, record) }
        return writer.bytes
    }

    package static func decode(_ bytes: [UInt8]) throws(WireError) -> [DefinitionRecord] {
        try bytes.lent { bytes throws(WireError) in
            var reader = TLVReader(bytes, repeating: 1 << 1)
            var records: [DefinitionRecord] = []
            while let field = try reader.next() {
                guard field.tag == 1 else { throw field.unknown }
                records.append(try field.definition())
            }
            return records
        }
    }
}
