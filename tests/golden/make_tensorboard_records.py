"""Writes tensorboard_records.json: records as TensorBoard's own writer frames and serialises them, in hexadecimal.

Made with tensorboard 2.21.0:  python tests/golden/make_tensorboard_records.py
"""

import io
import json
import pathlib

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

WALL_TIME = 1700000000.25


def framed(event):
    stream = io.BytesIO()
    RecordWriter(stream).write(event.SerializeToString())
    return stream.getvalue().hex()


scalars = [("train/loss", 2.3125), ("train/learning_rate", 1.85e-4), ("train/grad_norm", 1e30)]
summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=t, simple_value=v) for t, v in scalars])
session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
records = {
    "wall_time": WALL_TIME,
    "step": 300,
    "scalars": [{"tag": t, "value": v} for t, v in scalars],
    "file_version": framed(event_pb2.Event(wall_time=WALL_TIME, file_version="brain.Event:2")),
    "session_start": framed(event_pb2.Event(wall_time=WALL_TIME, step=300, session_log=session)),
    "summary": framed(event_pb2.Event(wall_time=WALL_TIME, step=300, summary=summary)),
}
path = pathlib.Path(__file__).with_name("tensorboard_records.json")
path.write_text(json.dumps(records, indent=2) + "\n")
