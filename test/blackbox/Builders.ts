/** The requests of src/testing, which the black-box tests are the first to use. */
export * from "../../src/testing/Requests.ts"
