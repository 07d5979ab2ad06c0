/**
 * Makes ORCHESTRATOR_DATABASE_URL of separate variables, so that a password from a secret need not be written as a part
 * of a URL: `node --import ./src/server/databaseUrl.ts src/server/main.ts`. Does nothing where the URL is set, or no host.
 */
type Environment = Readonly<Record<string, string | undefined>>

/** The URL that these variables mean. Undefined without DATABASE_HOST. */
export const databaseUrl = (env: Environment): string | undefined => {
  const { DATABASE_HOST: host, DATABASE_NAME: name, DATABASE_PASSWORD: password, DATABASE_USERNAME: username } = env
  if (!host) return undefined
  const credentials = [username, password].map((text) => encodeURIComponent(text ?? "")).join(":")
  const address = `${host.includes(":") ? `[${host}]` : host}:${env.DATABASE_PORT || "5432"}`
  const parameters = env.DATABASE_PARAMETERS ? `?${env.DATABASE_PARAMETERS}` : ""
  return `postgresql://${credentials}@${address}/${encodeURIComponent(name || "orchestrator")}${parameters}`
}

if (!process.env.ORCHESTRATOR_DATABASE_URL) {
  const url = databaseUrl(process.env)
  if (url !== undefined) process.env.ORCHESTRATOR_DATABASE_URL = url
}
