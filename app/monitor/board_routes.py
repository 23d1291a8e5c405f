"""The public status for programs; what it holds is declared in board.py."""

from typing import Final

from fastapi import APIRouter, Request, Response

from app.monitor.board import Board
from app.web import json, packed

router = APIRouter(tags=["public status"])
LASTS: Final = "public, max-age=30"


def board(request: Request) -> Board:
    """The hub's board."""
    found: Board = request.app.state.board
    return found


@router.get("/status.json")
def show_bulletin(request: Request) -> Response:
    """Every platform in one word with its live records, last success and 14 days; incidents of 14 days. For everybody."""
    return _lasting(request, json(board(request).bulletin().plain()))


@router.get("/status/{code}/status.json")
def show_plate(request: Request, code: str) -> Response:
    """One platform with its 90 days. For everybody."""
    return _lasting(request, json(board(request).plate(code).plain()))


def _lasting(request: Request, answer: Response) -> Response:
    answer.headers["Cache-Control"] = LASTS
    return packed(request, answer)
