// Uploads a file with tus-js-client, unchanged. Arguments: endpoint, key, file, stored address or "", chunk bytes, stop after bytes or 0.
const fs = require("node:fs");
const tus = require("tus-js-client");

const [endpoint, key, path, stored, chunk, stop] = process.argv.slice(2);
const upload = new tus.Upload(fs.createReadStream(path), {
  endpoint,
  uploadUrl: stored || null,
  headers: { Authorization: `Bearer ${key}` },
  metadata: { filename: "reviews.csv", filetype: "text/csv" },
  chunkSize: Number(chunk),
  uploadSize: fs.statSync(path).size,
  retryDelays: [100, 200, 500, 1000, 2000, 4000],
  onChunkComplete: (_size, accepted) => {
    if (Number(stop) && accepted >= Number(stop)) {
      console.log(JSON.stringify({ url: upload.url, accepted }));
      process.exit(9); // in the middle, without a word to the server
    }
    console.error(`accepted ${accepted}`);
  },
  onError: (error) => {
    console.log(JSON.stringify({ error: String(error), status: error.originalResponse ? error.originalResponse.getStatus() : null }));
    process.exit(1);
  },
  onSuccess: () => console.log(JSON.stringify({ url: upload.url })),
});
upload.start();
