/** The path of a data set's folder. Files that are missing there are downloaded, or copied from the local folder `from`. */
export function corpus(name: string, options?: { from?: string | undefined }): Promise<string>;
