"""sentence-transformers behind FastAPI, as one would write it: `embeddings_fastapi.py MODEL PORT THREADS`."""

import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

path, port, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
model = SentenceTransformer(path, device="cpu")
app = FastAPI()


class Request(BaseModel):
    model: str
    input: list[str]


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/v1/embeddings")
def embeddings(request: Request):
    vectors = model.encode(request.input, normalize_embeddings=True)
    return {"data": [{"index": i, "embedding": vector.tolist()} for i, vector in enumerate(vectors)]}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
