import Cells
import Primitives
import Text

extension ConsoleState {
    /// Takes an event in; what is to be done comes out.
    package mutating func update(_ event: ConsoleEvent) -> [ConsoleEffect] {
        switch event {
        case .key(let key): return press(key)
        case .resized(let size):
            self.size = size
            keepSelectionVisible()
            return []
        case .tick(let time):
            now = time
            if let toast, toast.until < now { self.toast = nil }
            return []
        case .feed(let key, let update):
            take(key, update)
            return []
        case .finished(let result): return finished(result)
        case .edited(_, let kind, let name, _) where settings.isReadOnly:
            say("this console is read-only: the edited \(kind) '\(name)' is not applied", isProblem: true)
            return []
        case .edited(let path, let kind, let name, let namespace):
            let space = namespace.isEmpty || namespace == "default" ? [] : ["-n", namespace]
            let command = [kind == "workflow" ? "workflows" : "rules", "apply", path] + space
            return confirm("apply the edited \(kind) '\(name)'?", [DangerTier.of(command).effect], [command])
        case .note(let text, let isProblem):
            say(text, isProblem: isProblem)
            return []
        case .commands(let index):
            settings.commands = index
            return []
        case .names(let names):
            self.names.merge(names) { $1 }
            return []
        }
    }

    private mutating func take(_ key: FeedKey, _ update: FeedUpdate) {
        var data = feeds.removeValue(forKey: key) ?? FeedData()
        let idKey = key == rowsFeed ? spec.idKey : key == Views.statusFeed ? "id" : feedIDKey(key)
        if key == rowsFeed, isHeld(data, update) {
            data.take(.alive, idKey: idKey, at: now)
        } else {
            data.take(update, idKey: idKey, at: now)
        }
        feeds[key] = data
        observeRaft(key, update)
        forgetOldFeeds()
        guard key == rowsFeed || key == valueFeed else { return }
        if key == valueFeed, place.view == .run, place.selectedID == nil { selectTrouble() }
        if key.kind == .lines { moveWithLines() } else { followSelection() }
    }

    /// A held list changes only when another part of it is looked at.
    private func isHeld(_ data: FeedData, _ update: FeedUpdate) -> Bool {
        guard place.heldAt != nil, !wantsWholeLists, case .rows(_, _, let offset, _, _) = update else { return false }
        return !data.ids.isEmpty && offset == data.offset
    }

    /// What was looked at last stays, so that going back shows something at once.
    private mutating func forgetOldFeeds() {
        guard feeds.count > 128 else { return }
        let wanted = Set(wantedFeeds.map(\.key))
        let old = feeds.filter { !wanted.contains($0.key) }.sorted { ($0.value.updatedAt ?? .zero) < ($1.value.updatedAt ?? .zero) }
        for (key, _) in old.prefix(feeds.count - 64) { feeds[key] = nil }
    }

    private func feedIDKey(_ key: FeedKey) -> String {
        for view in View.allCases {
            switch Views.spec(view).rows {
            case .remote(let make), .lines(let make): if make(Place(view)).path == key.path { return Views.spec(view).idKey }
            case .none, .local: continue
            }
        }
        return "id"
    }

    /// A run opens on the task that went wrong, else on the one that runs.
    private mutating func selectTrouble() {
        let rows = rows
        for words in [["failed", "timed_out", "unknown"], ["leased"]] {
            guard let found = (0..<rows.count).first(where: { words.contains(rows.at($0)?["state"]?.string ?? "") }) else { continue }
            place.row = found
            place.selectedID = rows.at(found).map { id(of: $0) }
            return
        }
    }

    /// Rows come and go above the selected one; the cursor stays on it.
    private mutating func followSelection() {
        let rows = rows
        if let id = place.selectedID {
            if let found = place(of: id, in: rows) {
                let shift = found - place.row
                place.row = found
                place.top = max(0, place.top + shift)
            } else if rows.count > 0 {
                place.row = min(place.row, rows.count - 1)
                place.selectedID = rows.at(place.row).map { self.id(of: $0) }
                // An action would be about something else now.
                if case .remote = spec.rows, !spec.actions.isEmpty {
                    say("what was selected has moved out of sight; the cursor is on another row", isProblem: true)
                }
            }
        } else if place.row > 0, let row = rows.at(place.row) {
            place.selectedID = self.id(of: row)
        }
        keepSelectionVisible()
    }

    /// Of a list only what is loaded is known.
    private func place(of id: String, in rows: RowsData) -> Int? {
        if case .remote = spec.rows { return rowsFeed.flatMap { feeds[$0]?.place(of: id) } }
        func isThere(_ place: Int) -> Bool { rows.at(place).map { self.id(of: $0) == id } ?? false }
        // Mostly it is where it was.
        return isThere(place.row) ? place.row : (0..<rows.count).first(where: isThere)
    }

    private mutating func moveWithLines() {
        guard place.follows, place.heldAt == nil else { return followSelection() }
        place.row = max(0, rows.count - 1)
        keepSelectionVisible()
    }

    mutating func keepSelectionVisible() {
        // Before the first answer there is nothing to be within.
        if let feed = rowsFeed, feeds[feed]?.hasData != true { return }
        let (count, page) = (rows.count, pageRows)
        place.row = max(0, min(place.row, count - 1))
        if place.row < place.top { place.top = place.row }
        if place.row >= place.top + page { place.top = place.row - page + 1 }
        place.top = max(0, min(place.top, max(0, count - page)))
        keepAnchor(page)
    }

    /// The list goes with a row near the selected one; another one only when that has gone or is a page away, since each is a new request.
    private mutating func keepAnchor(_ page: Int) {
        guard case .remote = spec.rows, let selected = place.selectedID, let feed = rowsFeed else { return place.anchor = nil }
        if let anchor = place.anchor, let at = feeds[feed]?.place(of: anchor), abs(at - place.row) <= page { return }
        place.anchor = selected
    }
}
