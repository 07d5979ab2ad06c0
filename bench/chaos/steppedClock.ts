/**
 * Loaded before a server: its wall clock jumps by up to an hour, back or forth, at each SIGUSR2, as after a correction
 * of the machine's clock. Timers and performance.now() go on as they do then.
 */
const systemNow = Date.now
let offset = 0

process.on("SIGUSR2", () => {
  offset = Math.round((Math.random() * 2 - 1) * 3_600_000)
})

const now = (): number => systemNow() + offset

globalThis.Date = new Proxy(Date, {
  construct: (target, args) => Reflect.construct(target, args.length === 0 ? [now()] : args),
  get: (target, name, receiver) => (name === "now" ? now : Reflect.get(target, name, receiver))
})
