/**
 * `npm run program -- bench/statements/main.ts [--tasks 1000000] [--events 5000000]`
 *
 * Every statement that the server's calls send, on a channel of that size, by the pages that it looks at.
 */
import { parseArgs } from "node:util"
import { worst } from "./Plans.ts"
import { run } from "./Run.ts"

const { values } = parseArgs({
  options: { tasks: { type: "string", default: "1000000" }, events: { type: "string", default: "5000000" } }
})
const ran = await run({ tasks: Number(values.tasks), events: Number(values.events) }, { fsync: "off" })
console.log(
  "| pages | ms | sorted rows | unwanted rows | read whole | statement |\n| --- | --- | --- | --- | --- | --- |"
)
for (const { millis, pages, scanned, sorted, text, unwanted } of worst(ran)) {
  const cells = [
    pages,
    millis.toFixed(1),
    sorted,
    unwanted,
    scanned.join(" "),
    text.slice(0, 110).replaceAll("|", "\\|")
  ]
  console.log(`| ${cells.join(" | ")} |`)
}
