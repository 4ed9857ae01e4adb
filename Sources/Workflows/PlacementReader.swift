import CEL
import Primitives
import Text

/// Reads what a task asks of the worker that gets it: labels, what is near it and what apart, its turn, and what it takes.
struct PlacementReader {
    static let keys = ["priority", "cost", "labels", "prefer", "sticky", "apart", "group"]

    /// Of the task.
    let shape: Shape
    let kind: TaskKind
    let check: TemplateCheck

    struct Reading {
        var priority = ReadyQueue.usualPriority
        var cost = 1
        var terms = PlacementTerms.none
        var group: Template?
    }

    func read() -> Reading {
        guard !kind.isCoordinators else {
            for key in Self.keys {
                shape[key]?.fail("'\(key)' is for tasks that a worker runs, and \(kind.rawValue) has none: leave it out")
            }
            return Reading()
        }
        var reading = Reading()
        reading.priority = shape["priority"]?.int(in: ReadyQueue.priorities) ?? reading.priority
        reading.cost = shape["cost"]?.int(in: 1...(kind.takesSlot ? Placement.slotLimit : Placement.lightLimit)) ?? 1
        reading.group = group()
        let (near, apart) = (shape["sticky"].flatMap { scope($0) }, shape["apart"].flatMap { self.apart($0) })
        if let written = shape["group"], near != .key, apart?.scope != .key {
            written.fail("nothing reads 'group': say 'sticky: group' or 'apart: group' too, or leave it out")
        }
        let preferred = preferences()
        do throws(PlacementError) {
            reading.terms = try PlacementTerms(
                required: shape["labels"].map { labels($0) } ?? [], preferred: preferred, apart: apart, near: near)
        } catch {
            shape.fail("\(error)")
        }
        return reading
    }

    // MARK: Labels

    /// `{zone: north, arch: [arm64, amd64], disk: {not: hdd}, gpu: {exists: true}}`.
    private func labels(_ written: Shape) -> [LabelTerm] {
        (written.members() ?? []).compactMap { name, asked in
            guard let test = test(asked) else { return nil }
            do throws(PlacementError) { return try LabelTerm(name, test) } catch {
                asked.fail("\(error)")
                return nil
            }
        }
    }

    private func test(_ asked: Shape) -> LabelTerm.Test? {
        guard asked.value.map != nil else { return values(asked).map { .isOneOf($0) } }
        asked.only(["not", "exists"])
        switch (asked["not"], asked["exists"]) {
        case (let not?, nil): return values(not).map { .isNoneOf($0) }
        case (nil, let exists?): return exists.bool().map { $0 ? .exists : .isMissing }
        case (.some, .some): asked.fail("'not' and 'exists' do not go together: a label that is none of some values may be missing")
        case (nil, nil): asked.fail("expected 'not' with values, or 'exists' with true or false")
        }
        return nil
    }

    private func values(_ asked: Shape) -> [String]? {
        if let text = asked.value.string { return [text] }
        guard asked.value.list != nil else {
            asked.fail(
                "expected the label's value as text, a list of such, {not: ...} or {exists: true}, found a \(asked.value.kind); put numbers and words such as true in quotes"
            )
            return nil
        }
        return asked.items()?.compactMap { $0.string() }
    }

    /// `[{labels: {disk: ssd}, weight: 10}]`: each label of one counts its weight.
    private func preferences() -> [PlacementTerms.Preference] {
        (shape["prefer"]?.items() ?? []).flatMap { item -> [PlacementTerms.Preference] in
            item.only(["labels", "weight"])
            let weight = item["weight"]?.int(in: 1...100) ?? 1
            return (item.required("labels").map { labels($0) } ?? []).map { .init($0, weight: weight) }
        }
    }

    // MARK: Groups

    private enum ScopeWord: String, CaseIterable {
        case run, group
        var scope: PlacementTerms.Scope { self == .run ? .run : .key }
    }

    private func scope(_ written: Shape) -> PlacementTerms.Scope? {
        guard let word = written.choice(ScopeWord.self) else { return nil }
        if word == .group, shape["group"] == nil {
            written.fail("which group is not said: add 'group', for example group: \"${{ input.customer }}\"")
        }
        return word.scope
    }

    /// `run`, `group`, or `{from: run, required: true}`.
    private func apart(_ written: Shape) -> PlacementTerms.Apart? {
        guard written.value.map != nil else { return scope(written).map { .init($0, isRequired: false) } }
        written.only(["from", "required"])
        let isRequired = written["required"]?.bool() ?? false
        return written.required("from").flatMap { scope($0) }.map { .init($0, isRequired: isRequired) }
    }

    private func group() -> Template? {
        guard let written = shape["group"], written.string() != nil else { return nil }
        return check.template(written)
    }
}

extension TaskDefinition {
    /// What it asks of a worker.
    package var shape: TaskShape { TaskShape(kind, cost: cost, terms: terms) }

    /// Where it is given to is more than a matter of room: programs that knew nothing of that cannot read it.
    package var saysWhere: Bool { priority != ReadyQueue.usualPriority || cost != 1 || terms != .none }
}

extension RunScope {
    static let groupLimit = 1024

    /// What the task's group is known by; nil where it asks for none.
    func group(of definition: TaskDefinition) -> Result<String?, TaskError> {
        guard let template = definition.group else { return .success(nil) }
        return resolve(template).flatMap { value in
            let text = value.string ?? JSONWriter.text(value)
            guard text.utf8.count <= Self.groupLimit else {
                return .failure(
                    TaskError(
                        type: "template_error",
                        message: "/group: it gave \(text.utf8.count) bytes, at most \(Self.groupLimit) name a group; use an id or a hash"))
            }
            return .success(text)
        }
    }
}

extension WorkflowRun {
    /// What one of its tasks asks for, and for whom. A task whose group cannot be resolved did not come so far.
    package func demand(of task: Int, _ context: Context) -> TaskDemand {
        let definition = context.definition.tasks[task]
        let group = definition.group == nil ? nil : try? RunScope(run: self, context: context).group(of: definition).get()
        return TaskDemand(namespace: namespace, run: id, key: group ?? nil, shape: definition.shape)
    }
}
