package import Primitives

extension SegmentedLog {
    /// A loss in what was acknowledged, or may have been; on record beside the files until `didRepair`, so that a restart does not
    /// forget it.
    package struct Damage: Equatable, Sendable {
        package var path: String
        package var offset: Int
        package var reason: String
        /// The last entry before the loss.
        package var lastGood: Position
        /// The highest index that may have been acknowledged here: until the node has everything up to it again, or learned from a leader
        /// what stands there, it must not vote.
        package var mayHaveHeld: LogIndex

        package init(path: String, offset: Int, reason: String, lastGood: Position, mayHaveHeld: LogIndex) {
            self.path = path
            self.offset = offset
            self.reason = reason
            self.lastGood = lastGood
            self.mayHaveHeld = mayHaveHeld
        }

        init(_ problem: StorageError, lastGood: Position, mayHaveHeld: LogIndex) {
            switch problem {
            case .damaged(let path, let offset, let reason):
                self.init(path: path, offset: offset, reason: reason, lastGood: lastGood, mayHaveHeld: mayHaveHeld)
            case .gap(let path, let expected, let found):
                let reason = "index \(expected) should be here, and what is here begins or ends at \(found)"
                self.init(path: path, offset: 0, reason: reason, lastGood: lastGood, mayHaveHeld: mayHaveHeld)
            default:
                self.init(path: problem.path ?? "", offset: 0, reason: problem.description, lastGood: lastGood, mayHaveHeld: mayHaveHeld)
            }
        }

        /// A loss that was found while this one was not repaired.
        func joined(by later: Damage) -> Damage {
            var joined = later
            joined.mayHaveHeld = max(mayHaveHeld, later.mayHaveHeld)
            return joined
        }
    }

    private var damagePath: String { folder + "/damage" }

    /// Peers have made good what was lost: the node votes again, and compaction may remove what was set aside.
    package func didRepair() throws(StorageError) {
        guard damage != nil else { return }
        try remove([damagePath])
        damage = nil
    }

    func write(_ damage: Damage) throws(StorageError) {
        let lines: [(String, String)] = [
            ("distric-damage", "1"), ("path", damage.path), ("offset", "\(damage.offset)"), ("index", "\(damage.lastGood.index)"),
            ("term", "\(damage.lastGood.term)"), ("chain", hexadecimal(damage.lastGood.chain)), ("may-have-held", "\(damage.mayHaveHeld)"),
            ("reason", damage.reason),
        ]
        try disk.replace(damagePath, with: SealedText(lines).bytes(seal: "damage-crc32c"))
        self.damage = damage
    }

    func readDamage() throws(StorageError) -> Damage? {
        guard let bytes = try disk.contents(of: damagePath) else { return nil }
        guard let text = try? SealedText(reading: bytes, seal: "damage-crc32c", path: damagePath), let path = text["path"],
            let offset = text["offset"].flatMap({ Int($0) }), let index = text["index"].flatMap({ UInt64($0) }),
            let term = text["term"].flatMap({ UInt64($0) }), let chain = text["chain"].flatMap({ UInt64($0, radix: 16) }),
            let held = text["may-have-held"].flatMap({ UInt64($0) }), let reason = text["reason"],
            max(index, held) <= Self.indexLimit
        else {
            // That there was a loss is all that is left of it.
            return Damage(
                path: damagePath, offset: 0, reason: "what it says of a loss cannot be read", lastGood: .start, mayHaveHeld: .zero)
        }
        return Damage(
            path: path, offset: offset, reason: reason, lastGood: .init(index: LogIndex(index), term: Term(term), chain: chain),
            mayHaveHeld: LogIndex(held))
    }

    /// Renames files so that they are not the log's any more. A name is used once, so one that was copied aside before is the same file.
    func setAside(_ paths: [String]) throws(StorageError) {
        guard !paths.isEmpty else { return }
        for path in paths {
            if disk.exists(path + SegmentName.damagedSuffix) {
                try disk.remove(path)
            } else {
                try disk.rename(path, to: path + SegmentName.damagedSuffix)
            }
        }
        try disk.syncFolder(folder)
    }

    /// The beginning of a damaged file stays in use; the whole of it is kept beside.
    func copyAside(_ path: String) throws(StorageError) {
        guard !disk.exists(path + SegmentName.damagedSuffix), let bytes = try disk.contents(of: path) else { return }
        try disk.replace(path + SegmentName.damagedSuffix, with: bytes)
    }

    /// Removes files that were set aside once a snapshot stands for all that they may have held.
    func removeSetAside(through index: LogIndex) throws(StorageError) {
        for name in try disk.list(folder) where name.hasSuffix(LogSurvey.setAsideSuffix) {
            let path = folder + "/" + name
            let reach = SegmentScan.reach(of: try disk.contents(of: path) ?? [], from: Self.headBytes)
            if max(reach.index, SegmentName(name)?.first ?? .zero) <= index { try disk.remove(path) }
        }
    }
}
