package import Primitives

extension Placement {
    /// Whether a worker may be given something.
    package enum Standing: String, Sendable, CaseIterable {
        case available
        /// It may be gone: it gets what nobody else has room for.
        case suspect
        /// It takes nothing new: an operator's wish, and one that ends soon.
        case cordoned, draining
        /// It left, and what it had is not settled yet.
        case gone
    }

    /// What a worker says that it takes.
    package struct Offer: Equatable, Sendable {
        package var slots: Int
        package var light: Int
        package var labels: WorkerLabels
        /// Nil: all.
        package var kinds: Set<TaskKind>?

        package init(slots: Int, light: Int, labels: WorkerLabels = .none, kinds: Set<TaskKind>? = nil) {
            self.slots = slots
            self.light = light
            self.labels = labels
            self.kinds = kinds
        }
    }

    /// A worker with what it has and what of that is taken.
    package struct Load: Equatable, Sendable {
        package let node: NodeID
        package internal(set) var slots = 0
        package internal(set) var light = 0
        package internal(set) var usedSlots = 0
        package internal(set) var usedLight = 0
        /// Tasks, whatever each of them takes.
        package internal(set) var tasks = 0
        package internal(set) var labels = WorkerLabels.none
        package internal(set) var kinds: Set<TaskKind>?
        package internal(set) var standing = Standing.available
        /// Free slots by its own count, which it knows better where it has less.
        package internal(set) var saidFree: Int?
        /// Kept for a task that needs more room than there is anywhere.
        private var reservedSlots = false
        private var reservedLight = false

        init(_ node: NodeID, _ offer: Offer) {
            self.node = node
            take(offer)
        }

        /// What nobody has is not believed: less than nothing is nothing, and more than a setting allows is what it allows.
        mutating func take(_ offer: Offer) {
            slots = min(Placement.slotLimit, max(0, offer.slots))
            light = min(Placement.lightLimit, max(0, offer.light))
            labels = offer.labels
            kinds = offer.kinds
        }

        var takesNew: Bool {
            switch standing {
            case .available, .suspect: true
            case .cordoned, .draining, .gone: false
            }
        }

        package func offers(_ kind: TaskKind) -> Bool { kinds?.contains(kind) ?? true }
        package func capacity(_ pool: Pool) -> Int { pool == .slots ? slots : light }
        package func used(_ pool: Pool) -> Int { pool == .slots ? usedSlots : usedLight }

        /// What is free, also when it is kept for one task.
        package func unused(_ pool: Pool) -> Int {
            let free = max(0, capacity(pool) - used(pool))
            return pool == .slots ? min(free, saidFree ?? free) : free
        }

        func free(_ pool: Pool) -> Int { isReserved(pool) ? 0 : unused(pool) }
        func isReserved(_ pool: Pool) -> Bool { pool == .slots ? reservedSlots : reservedLight }
        mutating func reserve(_ pool: Pool, _ isReserved: Bool) {
            if pool == .slots { reservedSlots = isReserved } else { reservedLight = isReserved }
        }

        mutating func use(_ pool: Pool, _ cost: Int, tasks count: Int) {
            // Of what was never taken nothing comes back.
            switch pool {
            case .slots:
                if let said = saidFree { saidFree = max(0, said - cost) }
                usedSlots = max(0, usedSlots + cost)
            case .light: usedLight = max(0, usedLight + cost)
            }
            tasks = max(0, tasks + count)
        }
    }
}
