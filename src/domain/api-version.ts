/** Of every document in a file. Alone in its file: who only needs this does not load the schemas. */
export const documentApiVersion = 'rekey.dev/v1'
