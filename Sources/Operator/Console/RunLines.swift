import Cells
import Primitives
import Text

/// Runs and tasks in words.
enum RunLines {
    /// What became of a task, or why it waits.
    static func outcome(_ task: Value) -> String {
        if let error = task.at("error", "message")?.string ?? task["error"]?.string, task["state"]?.string != "succeeded" {
            return Words.oneLine(error, limit: 400)
        }
        if let reason = task.at("blocked", "reason")?.string {
            let culprit = task.at("blocked", "culprit")?.string.map { " (\(Words.shortTask($0)))" } ?? ""
            return reason.replacing("_", with: " ") + culprit
        }
        let output = task["output"] ?? .null
        return output == .null ? "" : Words.oneLine(JSONWriter.text(output), limit: 400)
    }

    static func header(_ run: Value, _ context: HeaderContext) -> [Line] {
        var lines = [
            Line.fact("run", Words.plain(run["id"]), .bright) + Line("  ")
                + .state(Words.plain(run["state"]), context.theme, context.level),
            .fact("workflow", Words.plain(run["workflow"])) + Line("   rule ", .dim) + Line(Words.plain(run["rule"]))
                + Line("   message ", .dim)
                + Line(Words.oneLine(Words.plain(run["messageId"]))),
            .fact("began", "\(Words.plain(run["createdAt"])) (\(Words.age(run["createdAt"], now: context.now)) ago)")
                + Line("   took ", .dim) + Line(Words.milliseconds(run["durationMs"])),
        ]
        if let old = run["retryOf"]?.string { lines.append(.fact("retry of", old)) }
        if let error = run.at("error", "message")?.string {
            for (number, text) in Words.wrapped(error, width: max(20, context.width - 14)).prefix(3).enumerated() {
                lines.append(.fact(number == 0 ? "error" : "", text, .error))
            }
        }
        return lines + [Line()]
    }

    static func facts(_ run: Value, _ context: HeaderContext) -> [Line] {
        var lines = header(run, context).dropLast()
        let states = run.at("tasks", "byState")?.map?.members ?? []
        lines.append(.fact("tasks", states.map { "\(Words.plain($0.value)) \($0.key)" }.joined(separator: ", ")))
        if let output = run["output"], output != .null { lines += [Line(), Line("output", .dim)] + Words.json(output, limit: 30) }
        if let input = run["input"], input != .null { lines += [Line(), Line("input", .dim)] + Words.json(input, limit: 60) }
        return Array(lines)
    }

    static func task(_ task: Value, _ context: HeaderContext) -> [Line] {
        var lines = [
            Line.fact("task", Words.plain(task["task"]), .bright) + Line("  ")
                + .state(Words.plain(task["state"]), context.theme, context.level),
            .fact("run", Words.plain(task["run"])), .fact("kind", Words.plain(task["kind"])),
            .fact("attempt", Words.plain(task["attempt"])),
            .fact("worker", Words.plain(task["worker"])), .fact("took", Words.milliseconds(task["durationMs"])),
        ]
        if let reason = task.at("blocked", "reason")?.string {
            lines.append(.fact("waits for", reason.replacing("_", with: " "), .warning))
            if let culprit = task.at("blocked", "culprit")?.string { lines.append(.fact("", culprit)) }
        }
        if let error = task.at("error", "message")?.string {
            for (number, text) in Words.wrapped(error, width: max(20, context.width - 14)).prefix(6).enumerated() {
                lines.append(.fact(number == 0 ? "error" : "", text, .error))
            }
        }
        for key in ["output", "input"] {
            if let value = task[key], value != .null { lines += [Line(), Line(key, .dim)] + Words.json(value, limit: 40) }
        }
        return lines
    }

    static func taskHeader(_ task: Value, _ context: HeaderContext) -> [Line] {
        var lines = [
            Line.fact("task", Words.plain(task["task"]), .bright) + Line("  ")
                + .state(Words.plain(task["state"]), context.theme, context.level) + Line("   \(Words.plain(task["kind"]))", .dim),
            .fact("of run", Words.plain(task["run"])) + Line("  \(Words.plain(task["workflow"]))", .dim),
            .fact("caused by", "message \(Words.oneLine(Words.plain(task["messageId"])))") + Line("   rule ", .dim)
                + Line(Words.plain(task["rule"])),
        ]
        let why = task.at("why", "text")?.string ?? ""
        let role: Role = task["state"]?.string == "failed" || task["state"]?.string == "timed_out" ? .error : .text
        for (number, text) in Words.wrapped(why, width: max(20, context.width - 14)).prefix(4).enumerated() {
            lines.append(.fact(number == 0 ? "why" : "", text, role))
        }
        if let output = task["output"], output != .null {
            lines.append(.fact("output", Words.oneLine(JSONWriter.text(output), limit: 400)))
        }
        if let input = task["input"], input != .null { lines.append(.fact("input", Words.oneLine(JSONWriter.text(input), limit: 400))) }
        return lines + [Line()]
    }

    /// What the selected attempt wrote.
    static func log(_ attempt: Value, _ context: HeaderContext) -> [Line] {
        let text = attempt["tail"]?.string ?? ""
        guard !text.isEmpty else { return [Line(nothing(attempt), .dim)] }
        return [Line("what attempt \(Words.plain(attempt["attempt"])) wrote", .dim)]
            + Words.wrapped(text, width: max(20, context.width - 2)).suffix(400).map { Line($0) }
    }

    /// Of another node's attempts the node that is asked has no lines.
    private static func nothing(_ attempt: Value) -> String {
        let number = Words.oneLine(Words.plain(attempt["attempt"]))
        guard attempt["logBytes"] == .null, let worker = attempt["worker"]?.string else {
            return "attempt \(number) wrote nothing that is kept"
        }
        let task = "\(Words.plain(attempt["run"])).\(Words.plain(attempt["task"]))"
        return Words.oneLine(
            "node \(worker) keeps what attempt \(number) wrote: 'distric tasks logs \(task) --attempt \(number)' asks it", limit: 400)
    }
}

/// Why a rule did or did not match.
enum WhyLines {
    static func sentence(_ rule: Value) -> String {
        switch rule["reason"]?.string {
        case "matched": return "every condition holds"
        case "disabled": return "the rule is disabled"
        case "not_for_events": return "it holds, but asks neither for source distric nor for types distric.KIND"
        case "shadowed": return "it would hold, and \(Words.plain(rule["culprit"])) came first"
        case "fallback_not_needed": return "a fallback, and \(Words.plain(rule["culprit"])) matched"
        default:
            let changes = rule["flip"]?.list ?? []
            guard !changes.isEmpty else { return "its condition does not hold" }
            return "would match with " + changes.map(change).joined(separator: " and ")
        }
    }

    private static func change(_ change: Value) -> String {
        let found = change["actual"].map { " (is \(Words.oneLine(JSONWriter.text($0), limit: 60)))" } ?? " (is missing)"
        return "\(Words.plain(change["field"])) \(Words.plain(change["wanted"]))\(found)"
    }

    static func rule(_ rule: Value) -> [Line] {
        guard rule["what"]?.string == "rule" else { return [Line("enter opens the run", .dim)] }
        var lines = [
            Line.fact("rule", Words.plain(rule["rule"]), .bright),
            .fact("verdict", rule["matched"]?.bool == true ? "matched" : "did not match", rule["matched"]?.bool == true ? .ok : .text),
        ]
        for (number, text) in Words.wrapped(sentence(rule), width: 60).enumerated() { lines.append(.fact(number == 0 ? "why" : "", text)) }
        if rule["matched"]?.bool == true, let changes = rule["flip"]?.list, !changes.isEmpty {
            for (number, text) in Words.wrapped(changes.map(change).joined(separator: " and "), width: 60).enumerated() {
                lines.append(.fact(number == 0 ? "would not" : "", text))
            }
        }
        return lines + [Line()] + conditions(rule)
    }

    static func conditions(_ rule: Value) -> [Line] { part(rule["condition"] ?? .null, depth: 0) }

    private static func part(_ part: Value, depth: Int) -> [Line] {
        guard depth < 16 else { return [] }
        let holds = part["holds"]?.bool == true
        var line = Line(String(repeating: "  ", count: depth)) + Line(holds ? "+ " : "- ", holds ? .ok : .error)
        if let field = part["field"]?.string {
            let expected = part["expected"].map { " " + Words.oneLine(JSONWriter.text($0), limit: 120) } ?? ""
            line = line + Line(field, .jsonKey) + Line(" \(Words.plain(part["operation"]))\(expected)")
            line =
                line + Line("  is ", .dim)
                + Line(
                    part["missing"]?.bool == true ? "missing" : Words.oneLine(JSONWriter.text(part["actual"] ?? .null), limit: 120), .bright
                )
        } else {
            line = line + Line(Words.plain(part["operation"]), .accent)
        }
        return [line] + (part["parts"]?.list ?? []).flatMap { self.part($0, depth: depth + 1) }
    }
}

/// One rule with its numbers.
enum RuleLines {
    static func header(_ value: Value?, _ context: HeaderContext) -> [Line] {
        guard let value else { return [] }
        guard let subject = context.detail?.value else {
            return [Line("rule \(context.subject) is no longer in force in this set", .dim)]
        }
        var lines = [
            Line.fact("rule", Words.plain(subject["id"]), .bright) + Line("  ")
                + .state(Words.plain(subject["state"]), context.theme, context.level)
                + Line("   catalog \(Words.plain(value["version"]))", .dim),
            .fact("asked", "\(Words.count(subject["evaluations"])) (\(Words.count(subject["evaluationsPerSecond"]))/s)")
                + Line("   hits ", .dim) + Line("\(Words.count(subject["hits"])) (\(Words.count(subject["hitsPerSecond"]))/s)")
                + Line("   hit rate ", .dim) + Line("\(Words.plain(subject["hitPercent"])) %", .accent) + Line("   errors ", .dim)
                + Line(Words.plain(subject["errors"])),
        ]
        let numbers = Words.numbers(subject["recent"])
        let most = max(1, numbers.max() ?? 1)
        let marks = Glyphs.sparkline(numbers.map { $0 / most }, width: min(30, context.width - 14), level: context.level)
        lines.append(.fact("last 30 s", String(String.UnicodeScalarView(marks.compactMap(Unicode.Scalar.init))), .chartLine))
        let id = subject["rule"]
        let rule = (value.at("definition", "rules")?.list ?? []).first { $0["id"] == id }
        if let rule {
            let condition = rule["when"] ?? rule["conditions"] ?? .null
            for (number, text) in Words.wrapped(JSONWriter.text(condition), width: max(20, context.width - 14)).prefix(4).enumerated() {
                lines.append(.fact(number == 0 ? "when" : "", text, .jsonString))
            }
            lines.append(.fact("starts", Words.plain(subject["workflows"])))
        }
        return lines + [Line()]
    }

    /// The numbers of one rule among those of its set.
    static func stats(_ value: Value, _ id: String?) -> Value? {
        let all = value["stats"]?.list ?? []
        return id.map { id in all.first { $0["id"]?.string == id } ?? nil } ?? all.first
    }
}

/// One metric as a chart.
enum MetricLines {
    static func seconds(_ value: Value?) -> String { value?.number.map { Words.milliseconds(.double($0 * 1000)) } ?? "-" }

    static func chart(_ row: Value, _ context: HeaderContext) -> [Line] {
        let id = row["id"]?.string ?? ""
        let longer = context.detail?.rows.values.first { $0["id"]?.string == id }
        let numbers = Words.numbers(longer?["recent"] ?? row["recent"])
        let (least, most) = (numbers.min() ?? 0, numbers.max() ?? 0)
        let span = most - least
        let isLevel = row["kind"]?.string == "gauge"
        let floor = isLevel && least > 0 && span > 0 ? least : 0
        let top = most > floor ? most : floor + 1
        let height = 6
        let width = max(10, context.width - 10)
        let rows = Glyphs.chart(numbers.map { ($0 - floor) / (top - floor) }, width: width, height: height, level: context.level)
        var lines = [Line(Words.oneLine(id), .bright), Line(Words.oneLine(Words.plain(row["help"])), .dim)]
        for (number, marks) in rows.enumerated() {
            let label = number == 0 ? Words.count(top) : number == height - 1 ? Words.count(floor) : ""
            let space = String(repeating: " ", count: max(0, 8 - label.count))
            lines.append(
                Line(space + label + " ", .chartAxis)
                    + Line(String(String.UnicodeScalarView(marks.compactMap(Unicode.Scalar.init))), .chartLine))
        }
        lines.append(
            .fact(isLevel ? "value now" : "total", Words.count(row["value"])) + Line("   a second ", .dim) + Line(Words.count(row["rate"])))
        lines.append(.fact("shown", "\(isLevel ? "value" : "per second"), the last \(numbers.count) s", .dim))
        return lines
    }
}
